"""A pushed body as whole lines of a stream, cut and looked at by the readers of files."""

from __future__ import annotations

import io
import zlib
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import NamedTuple, cast

import msgspec

from clonewatch.adapters.mapping import load_map, presets
from clonewatch.adapters.reading import FORMATS
from clonewatch.adapters.recognition import described, recognised
from clonewatch.adapters.streams import HEAD
from clonewatch.adapters.wrappings import wrapping
from clonewatch.live.spool import Rows
from clonewatch.model.errors import ClonewatchError, SetupError
from clonewatch.model.limits import DEFAULT
from clonewatch.model.read_results import Rejected
from clonewatch.model.schema import ACCOUNTS, EVENT_KINDS, EVENTS
from clonewatch.ports.adapter import Adapter, Source
from clonewatch.ports.mapping import FieldMap

OTLP, LITELLM, ACCOUNT_FACTS, EVENT_ROWS = "otlp", "litellm", "accounts", "events"
SIDES = (ACCOUNT_FACTS, EVENT_ROWS)
# What may be sent as JSON; the others have columns or are spread over files.
_BINARY = ("exchange_arrow", "exchange_parquet", "parquet_map", "csv_map")
# Sign-up and verification are facts of an account; the other kinds are events.
_FACTS = ("sign_up", "verification")
_NO_NAME = "no `account_id`"


class RefusedError(Exception):
    """A body that is not taken. status: of the HTTP answer. said: why, and what to do."""

    def __init__(self, status: int, said: str) -> None:
        super().__init__(said)
        self.status, self.said = status, said


class Taken(NamedTuple):
    """What a body becomes. rejected: rows that no line was made of, or that the reader would reject."""

    rows: list[Rows]
    rejected: list[Rejected]


class Sources:
    """Which reader and which field map a batch goes through, by the name of its source.

    A stream of the spool is called after its format, then after its map: `otlp.traces`, `jsonl_map@nginx`.
    """

    def __init__(self, maps: Mapping[str, str]) -> None:
        """maps: source -> field map, a file or a preset. Raises SetupError, MappingError."""
        self._files = dict(maps)
        self._maps: dict[str, FieldMap] = {name: self._load(name) for name in maps}

    def _load(self, name: str) -> FieldMap:
        if not name.isascii() or not name.replace("_", "").replace("-", "").isalnum() or len(name) > 64:
            raise SetupError(f"{name!r} is no name of a source", where="[maps]", fix="Use letters, digits, - and _")
        held = load_map(Path(self._files.get(name, name)), FORMATS.names())
        if held.format in _BINARY:
            raise SetupError(f"a batch is JSON, and this map is for {held.format}", where=name, fix="Use jsonl_map")
        return held

    def map_of(self, name: str) -> FieldMap | None:
        """The field map of a source; None where it has none. Raises RefusedError where a map is asked for in vain."""
        if name in self._maps:
            return self._maps[name]
        if name in presets():
            self._maps[name] = self._load(name)
            return self._maps[name]
        return None

    def file_of(self, name: str) -> str | None:
        """The file or preset of a source's map, as `clonewatch ingest --map` takes it."""
        return self._files.get(name) or (name if name in presets() else None)

    def known(self) -> list[str]:
        """Names of maps that a batch may ask for."""
        return sorted({*self._files, *presets()})


def inflated(body: bytes, encoding: str, most: int) -> bytes:
    """A body without its content encoding: gzip, or none. most: bytes. Raises RefusedError.

    >>> inflated(b"plain", "identity", 100)
    b'plain'
    """
    if encoding in ("", "identity"):
        return body
    if encoding != "gzip":
        raise RefusedError(415, f"the content encoding is {encoding[:32]!r}; send gzip or none")
    made, rest = bytearray(), body
    try:
        while rest:
            member = zlib.decompressobj(31)
            made += member.decompress(rest, most + 1 - len(made))
            if len(made) > most:
                raise RefusedError(413, f"the body inflates to more than {most:,} bytes; send smaller batches")
            if not member.eof:
                raise RefusedError(400, "the gzip data ends too early")
            rest = member.unused_data
    except zlib.error as error:
        raise RefusedError(400, "the body is not gzip, which its content encoding says") from error
    return bytes(made)


def format_of(body: bytes) -> str:
    """The format of a body in JSON, as files are recognised. Raises RefusedError."""
    adapters = [cast(Adapter, FORMATS.load(name)) for name in FORMATS.names() if name not in _BINARY]
    claimed = recognised(body[:HEAD], "body.ndjson", adapters)
    if len(claimed) == 1 and not claimed[0].name.endswith("_map"):
        return claimed[0].name
    what, fix = described(body[:HEAD])
    raise RefusedError(400, f"unknown format: {what}. {fix}. Name a map with ?map=, or a format with ?format=")


def read_as(stream: str) -> tuple[str, str]:
    """The format of a stream and the name of its map, "" for none.

    >>> read_as("otlp.traces"), read_as("jsonl_map@nginx")
    (('otlp', ''), ('jsonl_map', 'nginx'))
    """
    form, _, source = stream.partition("@")
    return form.partition(".")[0], source


def exchanges(body: bytes, form: str, source: str = "") -> Taken:
    """Rows of exchanges as lines of a stream. form: of their format. source: of their map. Raises RefusedError.

    An empty line comes first: rows without an id are told by their body and their place in it.
    """
    lines, rejected = _cut(body)
    stream = f"{form}@{source}" if source else form
    data = b"\n" + b"".join(line + b"\n" for line in lines)
    return Taken([Rows(stream, data, len(lines))] if lines else [], rejected)


def facts(body: bytes, *, accounts: bool) -> Taken:
    """Rows about accounts. accounts: rows of the accounts table; otherwise events, sign-ups and verifications.

    Raises RefusedError.
    """
    lines, rejected = _cut(body)
    kept: dict[str, list[bytes]] = {name: [] for name in SIDES}
    for number, line in enumerate(lines, 1):
        try:
            row = msgspec.json.decode(line, type=dict[str, object])
        except (msgspec.MsgspecError, ValueError, RecursionError):
            rejected.append(Rejected("body", number, "not an object"))
            continue
        kind = row.pop("kind", None) if accounts or row.get("kind") in _FACTS else row.get("kind")
        about = accounts or kind in _FACTS
        if what := _fault(row, about, kind):
            rejected.append(Rejected("body", number, what))
            continue
        if about:
            if kind in _FACTS and row.get("ts") is not None:
                row.setdefault("created_at" if kind == "sign_up" else "verified_at", row["ts"])
            row.pop("ts", None)
        kept[ACCOUNT_FACTS if about else EVENT_ROWS].append(msgspec.json.encode(row) + b"\n")
    return Taken([Rows(name, b"".join(held), len(held)) for name, held in kept.items() if held], rejected)


def _fault(row: Mapping[str, object], about_account: bool, kind: object) -> str:
    table = ACCOUNTS if about_account else EVENTS
    also = {"ts", "trusted"} if about_account else set()
    if unknown := sorted(set(row) - set(table.names) - also):
        return f"no column {unknown[0][:40]!r} in {table.name}"
    account = row.get("account_id")
    if about_account and not (isinstance(account, str | int) and str(account).strip()):
        return _NO_NAME
    if not about_account and kind not in EVENT_KINDS:
        return f"kind is none of {', '.join((*_FACTS, *EVENT_KINDS))}"
    return "" if about_account or row.get("ts") is not None else "no `ts`"


def rejected_by(taken: Taken, adapter: Adapter, mapping: FieldMap | None) -> list[Rejected]:
    """What the reader of files would reject of a body, and why.

    Raises nothing for bad rows: an error about the body as a whole counts as one.
    """
    found: list[Rejected] = []
    for one in taken.rows:
        source = Source("body", io.BytesIO(one.data))
        try:
            for batch in adapter.read(source, mapping):
                found += batch.rejected
        except ClonewatchError as error:
            found.append(Rejected("body", 1, error.what))
    return found


def reasons(rejected: Collection[Rejected]) -> dict[str, int]:
    """How many rows were rejected for each reason, the ten most frequent."""
    count: dict[str, int] = {}
    for one in rejected:
        count[one.reason] = count.get(one.reason, 0) + 1
    return dict(sorted(count.items(), key=lambda pair: -pair[1])[:10])


def _cut(body: bytes) -> tuple[list[bytes], list[Rejected]]:
    """The rows of a body as single lines: one object, an array, or lines. Raises RefusedError where there is none."""
    lines: list[bytes] = []
    rejected: list[Rejected] = []
    for batch in wrapping(body[:HEAD]).cut(io.BytesIO(body)):
        rejected += [Rejected("body", number, DEFAULT.too_long) for number in batch.oversized]
        for number, line in zip(batch.numbers, batch.lines, strict=True):
            if _is_object(line):
                # Between values only: a line feed in a string is escaped.
                lines.append(line.replace(b"\n", b" ").replace(b"\r", b" "))
            else:
                rejected.append(Rejected("body", number, "not a JSON object"))
    if not lines and not rejected:
        raise RefusedError(400, "the body has no JSON object: send one, an array of them, or one a line")
    return lines, rejected


def _is_object(line: bytes) -> bool:
    try:
        msgspec.json.decode(line, type=dict[str, msgspec.Raw])
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return False
    return True
