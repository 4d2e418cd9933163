"""The settings of collections: a TOML file that says who may read and write which, by hashes of keys."""

from __future__ import annotations

import re
from pathlib import Path
from uuid import UUID

import msgspec

from clonewatch.live.api_keys import digest
from clonewatch.model.errors import SetupError
from clonewatch.model.text_files import text_of, toml_of

_EXAMPLE = "It looks like the one in docs/using/sharing-formats.md"
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")


class Listen(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where it listens. certificate, private_key: PEM files for TLS; without them a proxy has to do it.

    url: how peers call it, where that is through a proxy; empty for its own address.
    """

    host: str = "127.0.0.1"
    port: int = 6100
    certificate: str = ""
    private_key: str = ""
    url: str = ""


class Peer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A peer with a key. sha256: of the whole key. sender: the only one whose releases it may add; empty for none."""

    sha256: str
    sender: str = ""
    requests_per_minute: int = 120


class Collection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A collection. id: UUID. read, write: names of peers."""

    id: str
    title: str
    description: str = ""
    read: tuple[str, ...] = ()
    write: tuple[str, ...] = ()


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Everything of a TAXII server. store: file of the collections. most_bytes: of a body that a peer sends.

    sender: this provider's own name, under which no peer may add anything.
    """

    sender: str = ""
    store: str = "taxii.db"
    title: str = "Clonewatch"
    contact: str = ""
    most_bytes: int = 16 << 20
    most_page: int = 1_000
    listen: Listen = Listen()
    peers: dict[str, Peer] = {}
    collections: dict[str, Collection] = {}

    def whose(self, name: str | None, key: str) -> str | None:
        """The peer whose key this is; None for nobody's. name: the one it claims, where it claims one."""
        wanted = digest(key)
        found = [who for who, one in self.peers.items() if one.sha256 == wanted]
        return found[0] if found and name in (None, found[0]) else None

    def named(self, name: str) -> Collection:
        """The collection with this name. Raises SetupError."""
        if name not in self.collections:
            known = ", ".join(sorted(self.collections)) or "none yet"
            raise SetupError(f"there is no collection {name!r}", fix=f"There are: {known}")
        return self.collections[name]


def read(path: Path) -> Settings:
    """Settings from a file; paths in it count from its folder. Raises SetupError."""
    try:
        raw = toml_of(text_of(path))
    except OSError as error:
        raise SetupError(f"cannot read the settings: {error.strerror}", where=str(path), fix=_EXAMPLE) from error
    except ValueError as error:
        raise SetupError(f"the settings are not TOML: {error}", where=str(path), fix=_EXAMPLE) from error
    try:
        held = msgspec.convert(raw, Settings)
    except msgspec.ValidationError as error:
        raise SetupError(f"the settings do not fit: {error}", where=str(path), fix=_EXAMPLE) from error
    if what := _fault(held):
        raise SetupError(what, where=str(path), fix=_EXAMPLE)
    secure, folder = held.listen, path.parent
    placed = {n: str(folder / v) for n in ("certificate", "private_key") if (v := getattr(secure, n))}
    listen = msgspec.structs.replace(secure, **placed)
    return msgspec.structs.replace(held, store=str(folder / held.store), listen=listen)


def _fault(held: Settings) -> str:
    if bool(held.listen.certificate) != bool(held.listen.private_key):
        return "TLS needs a certificate and its private key"
    if not 0 <= held.listen.port <= 65_535 or not 1 <= held.most_page <= 10_000 or held.most_bytes < 1 << 10:
        return "port goes to 65535, most_page from 1 to 10000, and most_bytes is 1024 at least"
    for name, peer in held.peers.items():
        if not _NAME.fullmatch(name) or not re.fullmatch(r"[0-9a-f]{64}", peer.sha256) or peer.requests_per_minute < 1:
            return f"peer {name[:40]!r}: a name of small letters, 64 hexadecimal digits, and a rate of 1 at least"
    if len({peer.sha256 for peer in held.peers.values()}) != len(held.peers):
        return "two peers have one key"
    ids = [one.id for one in held.collections.values()]
    for name, one in held.collections.items():
        if unknown := sorted({*one.read, *one.write} - set(held.peers)):
            return f"collection {name}: there is no peer {unknown[0]!r}"
        try:
            fits = str(UUID(one.id)) == one.id
        except ValueError:
            fits = False
        if not fits or ids.count(one.id) > 1:
            return f"collection {name}: its id is no UUID, or another one has it"
    return ""
