"""Values of accounts as they are compared: in one spelling, then hashed under the key of the epoch.

Normalisation is part of the agreement: two spellings of one value that are not made one here never match.
"""

from __future__ import annotations

import csv
import hashlib
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from clonewatch.model.errors import InputError
from clonewatch.sharing.matching.epoch import Epoch

KINDS: Mapping[str, str] = {
    "payment": "reference of a payment account that does not depend on who asks",
    "mail": "address of a sign-up",
    "device": "fingerprint of a device, computed as the group agreed",
    "template": "family of prompt templates, by bands of its sketch",
}
# Values of one of these belong to one person or firm; a template belongs to whoever writes like that.
PERSONAL = ("payment", "mail", "device")
ELEMENT_BYTES = 16
MOST_ROWS = 20_000_000
_LONGEST = 320  # characters: the longest mail address
_COLUMNS = ("kind", "value", "account")
_WHERE = "A file with the columns kind, value, account: docs/using/sharing-matching.md"


class Held(NamedTuple):
    """What a file of values says. accounts: kind -> element -> accounts that carry it. unread: why -> rows."""

    accounts: dict[str, dict[str, frozenset[str]]]
    unread: dict[str, int]

    def elements(self, kind: str) -> list[str]:
        """Elements of one kind, sorted."""
        return sorted(self.accounts.get(kind, ()))


def carried(held: Held, kind: str) -> int:
    """How many accounts carry any value of a kind."""
    return len(frozenset[str]().union(*held.accounts.get(kind, {}).values()))


def normalised(kind: str, value: str, undotted: Iterable[str] = ()) -> str:
    """The one spelling of a value; empty for one that is none of its kind.

    mail: NFKC, lower case, the domain in its ASCII form, without a final dot, and without what follows the first `+` of
    the local part; dots of the local part go only at domains of `undotted`. payment: letters and digits in upper case.
    device: without spaces around it, case kept.

    >>> normalised("mail", " A.B+news@Mail.EXAMPLE. ", ["mail.example"])
    'ab@mail.example'
    >>> normalised("payment", "par-01 ab"), normalised("mail", "nobody")
    ('PAR01AB', '')
    """
    text = unicodedata.normalize("NFKC", value).strip()
    if not text or len(text) > _LONGEST:
        return ""
    if kind == "payment":
        return re.sub(r"[\s._-]", "", text).upper()
    return _mail(text, undotted) if kind == "mail" else text


def _mail(text: str, undotted: Iterable[str]) -> str:
    local, _, domain = text.lower().rpartition("@")
    try:
        domain = domain.rstrip(".").encode("idna").decode("ascii")
    except UnicodeError:
        return ""
    local = local.partition("+")[0]
    if domain in undotted:
        local = local.replace(".", "")
    return f"{local}@{domain}" if local and "." in domain and "@" not in local else ""


class Hasher:
    """Elements of an epoch: 32 hexadecimal digits each; equal values of two kinds have unequal ones.

    own: the 16-byte key of sketches here, by which templates are read; None to read none.
    """

    def __init__(self, epoch: Epoch, own: bytes | None = None) -> None:
        self._undotted = frozenset(epoch.undotted)
        self._keys = {kind: epoch.key(f"element {kind}") for kind in PERSONAL}
        self._bander = None
        if own is not None:
            from clonewatch.sharing.matching.bands import Bander  # which loads the compiler

            self._bander = Bander(epoch, own)

    def elements(self, kind: str, value: str) -> tuple[str, ...]:
        """The elements of a value, more than one for a template only; none where it is none of its kind."""
        if kind == "template":
            return self._bander.elements(value) if self._bander else ()
        element = self.element(kind, value)
        return (element,) if element else ()

    def element(self, kind: str, value: str) -> str:
        """The element of a personal value; empty where it is none of its kind."""
        text = normalised(kind, value, self._undotted)
        if not text:
            return ""
        return hashlib.blake2b(text.encode(), digest_size=ELEMENT_BYTES, key=self._keys[kind]).hexdigest()


def read(path: Path, epoch: Epoch, own: bytes | None = None) -> Held:
    """The values of a CSV file with the columns kind, value, account. Values themselves are not kept.

    own: as for `Hasher`. Raises InputError where it cannot be read at all; rows that are none are counted by reason.
    """
    hasher = Hasher(epoch, own)
    found: dict[str, dict[str, set[str]]] = {kind: defaultdict(set) for kind in KINDS}
    unread: dict[str, int] = defaultdict(int)
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = csv.reader(file, strict=True)
            if tuple(next(rows, ())) != _COLUMNS:
                raise InputError(f"the first line is not {','.join(_COLUMNS)}", where=str(path), fix=_WHERE)
            for number, row in enumerate(rows, 2):
                if number > MOST_ROWS:
                    raise InputError(f"there are more than {MOST_ROWS:,} rows", where=str(path), fix=_WHERE)
                if why := _row(row, hasher, found):
                    unread[why] += 1
    except OSError as error:
        raise InputError(f"cannot read the values: {error.strerror}", where=str(path), fix=_WHERE) from error
    except (csv.Error, UnicodeDecodeError) as error:
        raise InputError(f"this is no CSV in UTF-8: {type(error).__name__}", where=str(path), fix=_WHERE) from None
    kept = {kind: {e: frozenset(a) for e, a in held.items()} for kind, held in found.items() if held}
    return Held(kept, dict(unread))


def _row(row: list[str], hasher: Hasher, found: Mapping[str, dict[str, set[str]]]) -> str:
    if len(row) != len(_COLUMNS):
        return "not three columns"
    kind, value, account = row
    if kind not in found:
        return "a kind that is not matched"
    if not account or len(account) > _LONGEST:
        return "no account"
    elements = hasher.elements(kind, value)
    if not elements:
        return f"no value of kind {kind}" + (", or no fingerprint key was named" if kind == "template" else "")
    for element in elements:
        found[kind][element].add(account)
    return ""
