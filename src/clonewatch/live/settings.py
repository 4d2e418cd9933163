"""The settings of a service: a TOML file, above it variables of the environment. What is not known is refused."""

from __future__ import annotations

import os
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import msgspec

from clonewatch.live.api_keys import ApiKey
from clonewatch.live.spool import Bounds
from clonewatch.model.errors import SetupError
from clonewatch.model.option_values import megabytes
from clonewatch.model.text_files import text_of, toml_of

PREFIX = "CLONEWATCH_SERVE_"
_EXAMPLE = "It looks like the one in docs/using/live.md"


class Listen(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where it listens. grpc: 0 for no OTLP over gRPC. certificate, private_key: PEM files for TLS."""

    host: str = "127.0.0.1"
    port: int = 4318
    grpc: int = 0
    certificate: str = ""
    private_key: str = ""


class SpoolSize(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Bounds of the spool."""

    size: str = "2GB"
    seal_seconds: float = 60.0
    most_hours: float = 72.0


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Bounds of requests. body: as sent; inflated: after gzip; in_flight: of all that are not on the disk yet.

    seconds: for a body to arrive.
    """

    body: str = "16MB"
    inflated: str = "64MB"
    in_flight: str = "256MB"
    seconds: float = 30.0


class Detect(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When groups are looked for, and in which windows. keep_days: of exchanges, 0 for all.

    answers, calibration: files as `clonewatch detect` takes them, empty for none.
    """

    every_minutes: float = 5.0
    days: tuple[int, ...] = (14,)
    keep_days: int = 0
    memory: str = "700MB"
    answers: str = ""
    calibration: str = ""


class Publish(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The watch list after each look, as `clonewatch policy publish` writes it. Empty policy: none."""

    policy: str = ""
    out: str = ""
    signing_key: str = ""
    account_key: str = ""
    store: str = ""
    list: str = "accounts"
    valid_hours: float = 24.0


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Everything of a service. maps: name of a source -> field map (file or preset); keys: by name.

    bus: address of Redis or Kafka, empty for the spool alone. worker: False where another service of the bus has the
    state. kafka: more for its library, such as security.protocol.
    """

    state: str = "state"
    spool: str = "spool"
    results: str = "results"
    fingerprint_key: str = ""
    bus: str = ""
    worker: bool = True
    listen: Listen = Listen()
    bounds: SpoolSize = SpoolSize()
    limits: Limits = Limits()
    detect: Detect = Detect()
    publish: Publish = Publish()
    kafka: dict[str, str] = {}
    maps: dict[str, str] = {}
    keys: dict[str, ApiKey] = {}

    def spool_bounds(self) -> Bounds:
        """The bounds of the spool in bytes and seconds."""
        return Bounds(size_of(self.bounds.size), self.bounds.seal_seconds, self.bounds.most_hours * 3600)


_DEFAULT = Settings()


def read(path: Path | None, environment: Mapping[str, str] | None = None) -> Settings:
    """Settings from a file, with `CLONEWATCH_SERVE_SECTION_NAME` of the environment above it. Raises SetupError.

    Paths in the file count from the folder of the file.
    """
    raw = _tables(path) if path else {}
    environment = os.environ if environment is None else environment
    given = {name: value for name, value in environment.items() if name.startswith(PREFIX)}
    for name, value in given.items():
        _put(raw, name, value)
    where = " and ".join([*([str(path)] if path else []), *([PREFIX + "*"] if given else [])])
    try:
        settings = msgspec.convert(raw, Settings, strict=not given)
    except msgspec.ValidationError as error:
        raise SetupError(_said(str(error)), where=where, fix=_close(str(error))) from error
    _check(settings, where)
    return settings


def size_of(text: str) -> int:
    """A size such as "16MB" in bytes. Raises SetupError."""
    return int(megabytes(text) * 2**20)


def shown(settings: Settings) -> dict[str, Any]:
    """The settings for people: hashes of keys are not shown, nor the password of a store."""
    made: dict[str, Any] = msgspec.to_builtins(settings)
    for one in made["keys"].values():
        one["sha256"] = "(hidden)"
    made["publish"]["store"] = _without_password(made["publish"]["store"])
    made["kafka"] = dict.fromkeys(made["kafka"], "(hidden)")
    made["bus"] = _without_password(made["bus"])
    return made


def _without_password(address: str) -> str:
    scheme, mark, rest = address.partition("://")
    return f"{scheme}://(hidden)@{rest.rpartition('@')[2]}" if mark and "@" in rest else address


def _tables(path: Path) -> dict[str, Any]:
    try:
        raw = toml_of(text_of(path))
    except OSError as error:
        raise SetupError(
            f"cannot read the settings: {error.strerror}", where=str(path), fix="Check the path"
        ) from error
    except ValueError as error:  # which includes text that is none
        raise SetupError(f"the settings are not TOML: {error}", where=str(path), fix=_EXAMPLE) from error
    folder = path.parent
    for table, names in (
        (raw, ("state", "spool", "results", "fingerprint_key")),
        (raw.get("publish"), ("policy", "out", "signing_key", "account_key")),
        (raw.get("listen"), ("certificate", "private_key")),
        (raw.get("detect"), ("answers", "calibration")),
    ):
        if isinstance(table, dict):
            named = {name: table.get(name) for name in names}
            table |= {name: str(folder / held) for name, held in named.items() if isinstance(held, str) and held}
    maps = raw.get("maps")
    if isinstance(maps, dict):
        raw["maps"] = {n: str(folder / m) if str(m).endswith(".toml") else m for n, m in maps.items()}
    return raw


def _put(raw: dict[str, Any], name: str, value: str) -> None:
    """A variable of the environment in its place: STATE is `state`, DETECT_DAYS is `days` of `detect`."""
    words = name.removeprefix(PREFIX).lower()
    section, _, field = words.partition("_")
    if field and isinstance(getattr(_DEFAULT, section, None), msgspec.Struct):
        table = raw.setdefault(section, {})
        if isinstance(table, dict):
            table[field] = value.split(",") if field == "days" else value
    else:
        raw[words] = value


def _said(error: str) -> str:
    """The words of msgspec, with the place in front.

    >>> _said("Object contains unknown field `sise` - at `$.bounds`")
    'bounds: there is no setting `sise`'
    """
    what, _, place = error.partition(" - at `$")
    what = what.replace("Object contains unknown field", "there is no setting")
    place = place.strip("`.")
    return f"{place}: {what}" if place else what


def _close(error: str) -> str:
    named = error.partition("unknown field `")[2].partition("`")[0]
    kinds = (Settings, Listen, SpoolSize, Limits, Detect, Publish, ApiKey)
    known = [f.name for kind in kinds for f in msgspec.structs.fields(kind)]
    near = get_close_matches(named, known, 1) if named else []
    return f"Did you mean `{near[0]}`?" if near else _EXAMPLE


def _check(settings: Settings, where: str) -> None:
    def refuse(what: str, fix: str) -> None:
        raise SetupError(what, where=where, fix=fix)

    for size in (settings.bounds.size, settings.limits.body, settings.limits.inflated, settings.limits.in_flight):
        if size_of(size) < 1 << 16:
            refuse(f"a bound is too small: {size}", "Give it 1MB at least")
    bounds, detect = settings.bounds, settings.detect
    if not 0.05 <= bounds.seal_seconds <= 3600 or not 0 < bounds.most_hours <= 24 * 90:
        refuse("seal_seconds goes from 0.05 to 3600, most_hours to 2160", "A minute and three days do for most")
    if not 0.01 <= detect.every_minutes <= 1440 or not detect.days or min(detect.days) < 1 or detect.keep_days < 0:
        refuse("every_minutes goes from 0.01 to 1440, and days are at least 1", "Write every_minutes = 5, days = [14]")
    if detect.keep_days and detect.keep_days < max(detect.days):
        refuse("keep_days is shorter than a window", "Keep as many days as the longest window has")
    for port in (settings.listen.port, settings.listen.grpc):
        if not 0 <= port <= 65_535:
            refuse(f"{port} is no port", "Write port = 4318")
    if bool(settings.listen.certificate) != bool(settings.listen.private_key):
        refuse("TLS needs a certificate and its private key", "Name both, or neither")
    if not settings.worker and not settings.bus:
        refuse("worker = false, and nobody else reads this spool", "Name the bus that the worker reads")
    out = settings.publish
    if out.policy and not (out.out and out.signing_key and out.account_key):
        refuse("a policy is published with out, signing_key and account_key", "Name them in [publish]")
    for name, one in settings.keys.items():
        if what := one.fault():
            refuse(f"key {name}: {what}", "Make one with `clonewatch serve --new-key NAME`")
