"""Who may ask: the settings of `clonewatch match serve`, one TOML file. What is not known is refused."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec

from clonewatch.model.errors import SetupError
from clonewatch.model.text_files import text_of, toml_of

COUNT, WHICH, SIGHTINGS = "count", "which", "sightings"
MODES = (COUNT, WHICH, SIGHTINGS)
_EXAMPLE = "It looks like the one in docs/using/sharing-matching.md"
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")


class Peer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One who may ask. sha256: of its key, hexadecimal. queries, values: per epoch, kind and mode.

    count answers give away one membership per query to a peer who asks for one person among made-up ones, so `queries`
    bounds them; which answers one per value, so `values` does.
    """

    sha256: str
    modes: tuple[str, ...] = (COUNT,)
    queries: int = 24
    values: int = 100_000

    def fault(self) -> str:
        """What is wrong with it; empty if nothing is."""
        if not re.fullmatch(r"[0-9a-f]{64}", self.sha256):
            return "sha256 is not 64 hexadecimal digits"
        if unknown := sorted(set(self.modes) - set(MODES)):
            return f"there is no mode {unknown[0]!r}; there are {', '.join(MODES)}"
        return "" if self.modes and self.queries > 0 and self.values > 0 else "it may ask nothing"


class Listen(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where it listens. certificate, private_key: PEM files for TLS."""

    host: str = "127.0.0.1"
    port: int = 4340
    certificate: str = ""
    private_key: str = ""


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Everything of a service. values: CSV file. scan: result whose groups are matched, empty for all accounts.

    cache: folder of set-ups. log: file of queries. met: file of what peers said they saw.
    fingerprint_key: of sketches, for templates.
    """

    epoch: str = "epoch.json"
    values: str = "values.csv"
    scan: str = ""
    cache: str = "setups"
    log: str = "queries.ndjson"
    met: str = "met.ndjson"
    fingerprint_key: str = ""
    listen: Listen = Listen()
    peers: dict[str, Peer] = {}


def read(path: Path) -> Settings:
    """Settings from a file; paths in it count from its folder. Raises SetupError."""
    try:
        raw = toml_of(text_of(path))
        settings = msgspec.convert(raw, Settings)
    except OSError as error:
        raise SetupError(
            f"cannot read the settings: {error.strerror}", where=str(path), fix="Check the path"
        ) from error
    except msgspec.ValidationError as error:
        said = str(error).replace("Object contains unknown field", "there is no setting")
        raise SetupError(said, where=str(path), fix=_EXAMPLE) from error
    except ValueError as error:  # which includes text that is none
        raise SetupError(f"the settings are not TOML: {error}", where=str(path), fix=_EXAMPLE) from error
    for name, peer in settings.peers.items():
        if what := peer.fault() or ("" if _NAME.fullmatch(name) else "a name is lower-case letters, digits and -"):
            raise SetupError(
                f"peer {name[:60]}: {what}",
                where=str(path),
                fix="Make its key with: clonewatch match serve --new-key NAME",
            )
    if len({peer.sha256 for peer in settings.peers.values()}) < len(settings.peers):
        raise SetupError("two peers have the same key", where=str(path), fix="Give each its own")
    if not 0 <= settings.listen.port <= 65_535:
        raise SetupError("a port is at most 65535", where=str(path), fix=_EXAMPLE)
    if bool(settings.listen.certificate) != bool(settings.listen.private_key):
        raise SetupError("TLS needs a certificate and its private key", where=str(path), fix="Name both, or neither")
    named = {
        name: getattr(settings, name) for name in ("epoch", "values", "scan", "cache", "log", "met", "fingerprint_key")
    }
    listen = {name: getattr(settings.listen, name) for name in ("certificate", "private_key")}
    placed = {name: str(path.parent / held) for name, held in named.items() if held}
    keys = {name: str(path.parent / held) for name, held in listen.items() if held}
    return msgspec.structs.replace(settings, **placed, listen=msgspec.structs.replace(settings.listen, **keys))
