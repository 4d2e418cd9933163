"""An epoch of a sharing group: the secret that all members hold for some weeks, and the rules that they agreed on.

The secret keys every hash that is compared, so that nobody outside the group can guess a value, and nothing of one
epoch can be compared with another. Members can guess: what they cannot do is check guesses without asking
(`sharing.matching.answering` counts those).
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Literal

import msgspec

from clonewatch.model import whole_files
from clonewatch.model.errors import KeyFileError, OutputError, SetupError
from clonewatch.model.secret_files import read_secret

SCHEMA: Literal["clonewatch.epoch.v1"] = "clonewatch.epoch.v1"
SECRET_BYTES = 32
# Below a few weeks campaigns are cut in two; with every month more of what one asked can be asked again.
LONGEST_DAYS = 92
# Of accounts behind a match. Four could be a family or a small team.
FLOOR = 5
LEAST_FLOOR, MOST_FLOOR = 2, 1_000
# Values of one query, and what the chance of a wrong match is per query of that size.
MOST_VALUES = 25_000
WRONG_MATCH = 1e-9
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")
_FIX = "Ask the member who made the epoch for its file, and keep it in a file of its own (mode 600)"


class Epoch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What members agree on. secret: 64 hexadecimal digits. since, until: first and last day, `YYYY-MM-DD`, UTC.

    floor: of accounts behind a match. undotted: mail domains in whose addresses dots mean nothing.
    """

    group: str
    name: str
    since: str
    until: str
    secret: str
    floor: int = FLOOR
    undotted: tuple[str, ...] = ()
    schema: Literal["clonewatch.epoch.v1"] = SCHEMA

    def key(self, purpose: str) -> bytes:
        """A 32-byte key for one purpose, which also depends on everything that was agreed.

        So members whose rules differ do not match silently less: their proofs do not hold, and they are told.
        """
        agreed = msgspec.json.encode(msgspec.structs.replace(self, secret=""), order="sorted")
        person = hashlib.sha256(purpose.encode()).digest()[:16]
        return hashlib.blake2b(agreed, digest_size=32, key=bytes.fromhex(self.secret), person=person).digest()

    def check(self) -> str:
        """Six groups of digits by which people compare whether they hold the same epoch; says nothing of the secret."""
        told = self.key("check").hex()
        return "-".join(told[i : i + 4] for i in range(0, 24, 4))

    def mac(self, purpose: str, *parts: bytes) -> str:
        """HMAC-SHA256 over parts, each with its length before it, in hexadecimal digits."""
        made = hmac.new(self.key(purpose), digestmod=hashlib.sha256)
        for part in parts:
            made.update(len(part).to_bytes(8, "big") + part)
        return made.hexdigest()

    def holds(self, day: str) -> str:
        """Why the epoch does not hold on a day (`YYYY-MM-DD`); empty where it does."""
        if day < self.since:
            return f"epoch {self.name} begins on {self.since}"
        return f"epoch {self.name} ended on {self.until}" if day > self.until else ""


def today() -> str:
    """The day in UTC."""
    return datetime.now(UTC).date().isoformat()


def new(group: str, name: str, since: str, days: int, *, floor: int = FLOOR, undotted: tuple[str, ...] = ()) -> Epoch:
    """An epoch with a secret of its own. Raises SetupError."""
    if not 1 <= days <= LONGEST_DAYS:
        raise SetupError(f"an epoch has 1 to {LONGEST_DAYS} days, not {days}", where="--days", fix="Write --days 30")
    until = (_day(since, "--since") + timedelta(days=days - 1)).isoformat()
    held = Epoch(group, name, since, until, secrets.token_hex(SECRET_BYTES), floor, tuple(sorted(set(undotted))))
    if what := _fault(held):
        raise SetupError(what, fix="For example: clonewatch match epoch epoch.json --group pact --name 2026-12")
    return held


def write(epoch: Epoch, path: Path) -> None:
    """Write it to a new file for its owner only. Raises OutputError; a file that is there stays."""
    try:
        whole_files.create(path, msgspec.json.encode(epoch) + b"\n")
    except FileExistsError:
        raise OutputError("there is a file already", where=str(path), fix="Name a new one") from None
    except OSError as error:
        raise OutputError(f"cannot write the epoch: {error.strerror or error}", where=str(path)) from error


def read(path: Path) -> Epoch:
    """An epoch from its file. Raises KeyFileError, which never shows what is in it."""
    data = read_secret(path, "the epoch", fix=_FIX)
    try:
        held = msgspec.json.decode(data, type=Epoch)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise KeyFileError("this is no epoch of a sharing group", where=str(path), fix=_FIX) from None
    if what := _fault(held):
        raise KeyFileError(what, where=str(path), fix=_FIX)
    return held


def _fault(epoch: Epoch) -> str:
    """What is wrong with it; empty if nothing is. Never shows the secret."""
    for what, name in (("group", epoch.group), ("epoch", epoch.name)):
        if not _NAME.fullmatch(name):
            return f"the name of the {what} is not lower-case letters, digits and -, 40 at most"
    if not re.fullmatch(rf"[0-9a-f]{{{2 * SECRET_BYTES}}}", epoch.secret):
        return f"the secret is not {2 * SECRET_BYTES} hexadecimal digits"
    if not LEAST_FLOOR <= epoch.floor <= MOST_FLOOR:
        return f"the floor goes from {LEAST_FLOOR} to {MOST_FLOOR} accounts"
    try:
        days = (_day(epoch.until, "until") - _day(epoch.since, "since")).days + 1
    except SetupError as error:
        return error.what
    return "" if 1 <= days <= LONGEST_DAYS else f"an epoch has 1 to {LONGEST_DAYS} days, and this has {days}"


def _day(text: str, where: str) -> date:
    try:
        if re.fullmatch(r"\d{4}-\d\d-\d\d", text):
            return date.fromisoformat(text)
    except ValueError:
        pass
    raise SetupError(f"{text[:20]!r} is no day", where=where, fix="Write it as 2026-12-01")
