"""Who is told of what: a file in TOML. It names files and variables that hold secrets, and holds none itself."""

from __future__ import annotations

import base64
import binascii
import os
import re
from pathlib import Path
from typing import Literal, NamedTuple
from urllib.parse import urlsplit

import msgspec

from clonewatch.model.errors import InputError, SetupError
from clonewatch.model.secret_files import read_secret
from clonewatch.model.text_files import text_of, toml_of
from clonewatch.outbound.events import KINDS, Wanted

WEBHOOK, FILE, PEOPLE = "webhook", "file", "people"
_FIX = "Write it as docs/using/notifications.md does"
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_PREFIX = "whsec_"
_FEWEST, _MOST = 24, 64  # bytes of a secret, as the specification says


class Target(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who is told. kind: an HTTP receiver, a file that others read, or people by chat or mail.

    events: of `events.KINDS`; all without. review_from_bits: log2 of the odds from which groups for review are told.
    allow: hosts that may be in a private network. secret_..., address_...: where the secret, or the address of people
    with its token, is.
    """

    name: str
    kind: Literal["webhook", "file", "people"]
    url: str = ""
    path: str = ""
    format: Literal["event", "cef", "ocsf", "ocsf-1.9"] = "event"
    events: tuple[str, ...] = ()
    review_from_bits: float = 0.0
    allow: tuple[str, ...] = ()
    ca_file: str = ""
    secret_file: str = ""
    secret_env: str = ""
    address_file: str = ""
    address_env: str = ""

    @property
    def shown(self) -> str:
        """Where it is, without what may be secret: paths and queries of addresses often are."""
        parts = urlsplit(self.url)
        return {WEBHOOK: f"{parts.scheme}://{parts.hostname}", FILE: self.path}.get(self.kind, "people")


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    target: tuple[Target, ...]
    console: str = ""


class Settings(NamedTuple):
    """A settings file. folder: where it is; names of files in it are relative to that."""

    targets: tuple[Target, ...]
    console: str
    folder: Path

    def wanted(self, target: Target) -> Wanted:
        """What a target wants to hear."""
        return Wanted(frozenset(target.events or KINDS), target.review_from_bits, self.console)

    def secret(self, target: Target) -> str:
        """The secret of a webhook, or the address of people. Raises SetupError; shows nothing of it."""
        what = "secret" if target.kind == WEBHOOK else "address"
        file, variable = getattr(target, f"{what}_file"), getattr(target, f"{what}_env")
        if file:
            data = read_secret(self.folder / file, f"the {what} of target {target.name}")
            return data.decode("utf-8", "replace").strip()
        if held := os.environ.get(variable, "").strip():
            return held
        raise SetupError(f"the variable {variable} of target {target.name} is empty", fix=f"Put the {what} into it")


def read(path: Path) -> Settings:
    """Read a settings file and everything that it names. Raises SetupError."""
    try:
        held = msgspec.convert(toml_of(text_of(path)), _File)
    except OSError as error:
        raise InputError(f"cannot read the targets: {error.strerror}", where=str(path), fix=_FIX) from error
    except ValueError as error:
        raise InputError(f"these are no targets: {error}", where=str(path), fix=_FIX) from error
    settings = Settings(held.target, held.console, path.parent)
    names = [target.name for target in held.target]
    try:
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise SetupError(f"two targets are called {twice[0]}")
        if held.console:
            _check_address(held.console, (urlsplit(held.console).hostname or "",), "console")
        for target in held.target:
            _check(target, settings)
    except SetupError as error:
        error.where = error.where or str(path)
        raise
    return settings


def key_of(secret: str, name: str) -> bytes:
    """The key of a webhook from its secret. Raises SetupError; shows nothing of it."""
    try:
        key = base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not _FEWEST <= len(key) <= _MOST:
        raise SetupError(
            f"the secret of target {name} is none",
            fix=f"Write {_PREFIX} and {_FEWEST} to {_MOST} random bytes in base64: openssl rand -base64 32",
        )
    return key


def _check(target: Target, settings: Settings) -> None:
    name = target.name
    if not _NAME.fullmatch(name):
        raise SetupError(f"{name!r} cannot be the name of a target", fix="Use letters, digits, - and _")
    if unknown := sorted(set(target.events) - set(KINDS)):
        raise SetupError(f"target {name}: there is no event {unknown[0]!r}", fix=f"Use some of: {', '.join(KINDS)}")
    if not abs(target.review_from_bits) < float("inf"):
        raise SetupError(f"target {name}: review_from_bits is no number")
    needs = {
        WEBHOOK: (("url",), ("secret_file", "secret_env")),
        FILE: (("path",),),
        PEOPLE: (("address_file", "address_env"),),
    }[target.kind]
    for some in needs:
        if sum(bool(getattr(target, field)) for field in some) != 1:
            raise SetupError(f"target {name} of kind {target.kind} needs {' or '.join(some)}", fix=_FIX)
    if target.kind == WEBHOOK:
        _check_address(target.url, target.allow, f"target {name}")
        key_of(settings.secret(target), name)
        if target.ca_file and not (settings.folder / target.ca_file).is_file():
            raise SetupError(f"target {name}: there is no file {target.ca_file}")


def _check_address(url: str, allowed: tuple[str, ...], whose: str) -> None:
    try:
        parts = urlsplit(url)
        port_holds = parts.port is None or parts.port > 0
    except ValueError as error:
        raise SetupError(f"{whose}: this is no address: {error}") from error
    printable = url.isascii() and url.isprintable() and " " not in url
    if parts.scheme not in ("https", "http") or not parts.hostname or not printable or not port_holds:
        raise SetupError(f"{whose}: this is no address", fix="Write https://host/path")
    if parts.username is not None or parts.password is not None:
        raise SetupError(f"{whose}: the address holds a name or a password", fix="Leave it out: messages are signed")
    if parts.scheme == "http" and parts.hostname not in allowed:
        raise SetupError(
            f"{whose}: messages would cross the network in the clear",
            fix=f'Write https://, or name the host if it is in a network of your own: allow = ["{parts.hostname}"]',
        )
