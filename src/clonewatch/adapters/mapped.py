"""Converts rows of a foreign log into exchanges through a field map."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from hashlib import blake2b
from pathlib import PurePath

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from clonewatch.adapters.any_body import fill_from_bodies
from clonewatch.adapters.bodies import parsed
from clonewatch.adapters.columns import Columns, Values, conform
from clonewatch.adapters.event_streams import assembled, events
from clonewatch.adapters.field_paths import ABSENT, finder, first_given, found_in, is_key, lacks
from clonewatch.adapters.field_rules import MOST_ITEMS, changed, chosen
from clonewatch.adapters.identities import settled
from clonewatch.adapters.instants import TimeFormat, earlier, time_format
from clonewatch.adapters.map_watch import Watch
from clonewatch.adapters.mapping import EXAMPLE
from clonewatch.adapters.operations import operations
from clonewatch.adapters.rows import Rows
from clonewatch.adapters.streams import head_of, notes_of
from clonewatch.adapters.text_columns import as_bytes, pylist
from clonewatch.adapters.units import LATENCY, Units
from clonewatch.adapters.value_hashes import hashed
from clonewatch.adapters.values import MISSING
from clonewatch.model.errors import MappingError
from clonewatch.model.read_results import Rejected
from clonewatch.model.schema import EXCHANGES
from clonewatch.ports.adapter import Batch, Source
from clonewatch.ports.mapping import FieldMap, Hops, Rule

_HASHED = frozenset(c.name for c in EXCHANGES.columns if c.type == "uint64")
_WHO = ("account_id", "org_id", "end_user_id")  # columns in which a word for nobody is no value
_TYPES = {c.name: c.type for c in EXCHANGES.columns}
_MARK = 1024  # first bytes that distinguish files of the same name; few, so that a log that grows keeps its ids
_BEYOND = f"an item beyond the first {MOST_ITEMS:,} of the list that `each` names"
_OPENING = '{" \t\r\n\x0b\x0c'
_OPENING_ANSWER = _OPENING + "[de:"  # a list of chunks, or an event stream
_STREAMS = ("data:", "event:", ":")
_decode = msgspec.json.Decoder().decode


def required(mapping: FieldMap | None, name: str) -> FieldMap:
    """The field map, which formats of foreign logs require. Raises MappingError if there is none."""
    if mapping is None:
        raise MappingError(f"{name} needs a field map", fix=f"Pass one with --map; for example:\n{EXAMPLE}")
    return mapping


def exchange_ids(source: Source, numbers: Sequence[int]) -> pa.Array:
    """Ids for rows without one: a hash of the file's name and first bytes, then the row number.

    The folder is left out, so that a log that is moved or copied keeps its ids, and a copy is dropped as duplicates.
    """
    if not source.files:
        mark = _mark(source.name, head_of(source.stream))
        rows = pa.array(numbers, pa.int64()).cast(pa.string())
        made = pc.binary_join_element_wise(pa.scalar(mark), rows, "-")
        return _told_apart(made, numbers) if len(set(numbers)) < len(numbers) else made
    marks = [_mark(file.name, file.head) for file in source.files]
    before = [file.before for file in source.files]
    places = [bisect_left(before, number) - 1 for number in numbers]
    ids = [f"{marks[at]}-{number - before[at]}" for at, number in zip(places, numbers, strict=True)]
    made = pa.array(ids, pa.string())
    return _told_apart(made, numbers) if len(set(numbers)) < len(numbers) else made


def _told_apart(ids: pa.Array, numbers: Sequence[int]) -> pa.Array:
    """Ids of several exchanges in one row: the second and later ones also count within the row."""
    seen: dict[int, int] = {}
    counts = [seen[n] for n in numbers if not seen.update({n: seen.get(n, 0) + 1})]
    return pa.array([i if c == 1 else f"{i}-{c}" for i, c in zip(ids.to_pylist(), counts, strict=True)], pa.string())


def _mark(name: str, head: bytes) -> str:
    mark = blake2b(PurePath(name).name.encode("utf-8", "surrogateescape"), digest_size=8)
    mark.update(head[:_MARK])
    return mark.hexdigest()


def _complete_ids(ids: Values | None, source: Source, numbers: Sequence[int]) -> Values:
    """The ids as logged, and derived ids where they are missing."""
    if ids is None:
        return exchange_ids(source, numbers)
    if isinstance(ids, pa.Array):
        if not ids.null_count and not pc.any(pc.is_in(ids.cast(pa.string()), pa.array(sorted(MISSING)))).as_py():
            return ids
        ids = ids.to_pylist()
    if _all_given(ids):
        return ids
    # Bytes that are no text may come from a client: they cost neither the row nor make two ids one.
    missing = [i is None or (isinstance(i, str) and (i in MISSING or "\ufffd" in i)) for i in ids]
    if not any(missing):
        return ids
    derived = exchange_ids(source, numbers).to_pylist()
    return [d if lacks else i for i, d, lacks in zip(ids, derived, missing, strict=True)]


def _all_given(ids: list[object]) -> bool:
    """Whether all ids are text, and none is missing or damaged: quick, and nearly always so."""
    try:
        return MISSING.isdisjoint(ids) and "\ufffd" not in "".join(ids)  # type: ignore[arg-type]
    except TypeError:
        return False


def build(
    found: Columns, mapping: FieldMap, source: Source, numbers: Sequence[int]
) -> tuple[pa.RecordBatch, list[Rejected]]:
    """Exchanges from the fields found for each column: adds constants, hashes unsigned columns, derives missing ids.

    found: exchange column -> values, as Arrow or plain. numbers: 1-based row numbers.
    """
    at = time_format(mapping.time) or TimeFormat()
    columns: Columns = {}
    if "operation" in found:
        found["operation"] = operations(found["operation"])
    _from_bodies(found)
    for name, values in found.items():
        columns[name] = hashed(values) if name in _HASHED else _without_dashes(values)
    for name, value in mapping.constants.items():
        constant: Values = [value] * len(numbers)
        columns[name] = hashed(constant) if name in _HASHED else constant
    columns["exchange_id"] = _complete_ids(columns.get("exchange_id"), source, numbers)
    notes = notes_of(source.stream)
    _say_unit(mapping, columns, notes.units)
    return conform(
        settled(columns, mapping.hops), EXCHANGES, source.name, numbers, at=at, dropped=notes.dropped, units=notes.units
    )


def _say_unit(mapping: FieldMap, columns: Columns, units: Units) -> None:
    """Take the unit of latencies from the map, where it names one; otherwise their first numbers decide."""
    if mapping.latency != "auto" and LATENCY in columns:
        units[f"{EXCHANGES.name}.{LATENCY}"] = mapping.latency


def _without_dashes(values: Values) -> Values:
    if isinstance(values, list):
        return [None if v == ABSENT else v for v in values] if ABSENT in values else values
    if pa.types.is_string(values.type) or pa.types.is_large_string(values.type):
        dashes = pc.equal(values, ABSENT)
        return pc.if_else(dashes, pa.scalar(None, values.type), values) if pc.any(dashes).as_py() else values
    return values


def objects(
    parts: Iterator[tuple[list[dict[str, object]], list[int], list[Rejected]]], mapping: FieldMap, source: Source
) -> Iterator[Batch]:
    """Batches from rows as dictionaries: their fields, their numbers, and lines that were rejected before."""
    watch = _watch(source, mapping)
    # Of single keys, the keys of all rows need not be gathered first.
    wanted = None if mapping.others or not all(map(is_key, mapping.fields.values())) else {*mapping.fields.values()}
    empty, filled = Counter[str](), Counter[str]()
    for given, given_numbers, rejected in parts:
        rows: Sequence[Mapping[str, object]] = given
        numbers = given_numbers
        if mapping.where or mapping.each:
            kept = chosen(given, given_numbers, mapping, finder)
            rows, numbers = kept.rows, kept.numbers
            rejected = rejected + [Rejected(source.name, number, _BEYOND) for number in kept.beyond]
            watch.saw(given, kept)
        else:
            watch.saw(given, None)
        keys = set[str]().union(*rows) if wanted is None else wanted
        found: Columns = {name: _looked_up(rows, keys, name, mapping) for name in mapping.fields}
        for name in mapping.when_empty:
            values = found.get(name, [])
            empty[name] += sum(values.count(none) for none in (None, "", ABSENT)) if isinstance(values, list) else 0
            filled[name] += len(values)
        batch, more = build(found, mapping, source, numbers)
        yield Batch(batch, rejected + more)
    for name, sentence in mapping.when_empty.items():
        if 0 < empty[name] < filled[name]:
            notes_of(source.stream).warn(f"{empty[name]:,} of {filled[name]:,} rows have no `{name}`: {sentence}")


def _watch(source: Source, mapping: FieldMap) -> Watch:
    """What watches the paths of the map in this file."""
    notes = notes_of(source.stream)
    if not isinstance(notes.watch, Watch):
        notes.watch = Watch(mapping, finder)
    return notes.watch


def _looked_up(rows: Sequence[Mapping[str, object]], keys: set[str], name: str, mapping: FieldMap) -> list[object]:
    """The values of a column in rows: of its field, otherwise of the further fields that the map names."""
    who = name in _WHO
    values = found_in(rows, keys, mapping.fields[name], who)
    if name in mapping.rules:
        values = _ruled(name, values, mapping.rules[name], rows, mapping)
    for path, rule in mapping.others.get(name, ()):
        if not lacks(values, who):
            break
        values = first_given(values, _ruled(name, found_in(rows, keys, path, who), rule, rows, mapping), who)
    return values


def _ruled(
    name: str, values: list[object], rule: Rule, rows: Sequence[Mapping[str, object]], mapping: FieldMap
) -> list[object]:
    """The values of a column after its rule, with what other fields take off them."""
    values = changed(name, values, rule)
    if not rule.minus:
        return values
    find, at = finder(rule.minus), time_format(mapping.time) or TimeFormat()
    return earlier(values, [find(row) for row in rows], at)


def by_row(mapping: FieldMap) -> bool:
    """Whether a map needs whole rows: for conditions, lists, alternatives, or a value that depends on another."""
    return bool(mapping.where or mapping.each or mapping.others) or any(rule.minus for rule in mapping.rules.values())


def ruled(found: Columns, mapping: FieldMap) -> Columns:
    """Columns of a table after the rules of a map, none of which needs whole rows."""
    for name, rule in mapping.rules.items():
        if name in found:
            values = found[name]
            found[name] = changed(name, values.to_pylist() if isinstance(values, pa.Array) else list(values), rule)
    return found


# Keys of a whole request of some API. A prompt or an answer may be JSON of another kind, which somebody wrote.
_REQUEST_KEYS = frozenset(("messages", "input", "prompt", "contents", "inputText", "message", "instructions", "texts"))
# Keys that together show a whole answer.
_ANSWERS = (
    {"choices"}, {"candidates"}, {"stop_reason", "content"}, {"output", "object"}, {"output", "stopReason"},
    {"results", "inputTextTokenCount"}, {"generations"}, {"text", "generation_id"}, {"usage", "object"},
    {"data", "object"},
)  # fmt: skip
# Columns that a request body can fill where the map does not.
_FROM_BODY = (
    "operation", "model", "stop_reason", "input_tokens", "output_tokens", "reasoning_tokens", "cached_tokens", "stream",
    "logprobs", "max_tokens", "temperature", "top_p", "n", "tools_count", "end_user_id", "end_user_provenance",
    "session_id", "signature_id",
)  # fmt: skip


def _from_bodies(found: Columns) -> None:
    """Fill parameters from whole request bodies in `messages`, and answers from whole bodies in `response_text`."""
    begins = {"messages": _OPENING, "response_text": _OPENING_ANSWER}
    if not any(_may_hold_bodies(found.get(name), opening) for name, opening in begins.items()):
        return
    requests, answers = _plain(found.get("messages")), _plain(found.get("response_text"))
    rows = len(requests or answers or ())
    requests, answers = requests or [None] * rows, answers or [None] * rows
    if not any(map(_is_body, requests)) and not any(map(_may_be_answer, answers)):
        return
    made = [_body_row(request, answer) for request, answer in zip(requests, answers, strict=True)]
    filled = set[str]().union(*made)
    for name in _FROM_BODY:
        if name in filled:
            before = _plain(found.get(name)) or [None] * rows
            found[name] = [row.get(name) if b in (None, "") else b for b, row in zip(before, made, strict=True)]
    found["messages"] = [row.get("messages", r) for r, row in zip(requests, made, strict=True)]
    found["response_text"] = [row.get("response_text", a) for a, row in zip(answers, made, strict=True)]


def _may_hold_bodies(values: Values | None, opening: str) -> bool:
    """Whether some value begins as a body does, or with white space: quick, for columns of prompts."""
    if values is None:
        return False
    if isinstance(values, pa.Array):
        if not (pa.types.is_string(values.type) or pa.types.is_large_string(values.type)):
            return True
        begins = pa.array([one.encode() for one in opening], pa.binary())
        return bool(pc.any(pc.is_in(pc.binary_slice(as_bytes(values), 0, 1).cast(pa.binary()), begins)).as_py())
    return any(v.__class__ is not str or v[:1] in opening for v in values if v)


def _plain(values: Values | None) -> list[object] | None:
    return pylist(values) if isinstance(values, pa.Array) else values


def _is_body(value: object) -> bool:
    return isinstance(value, dict) or (isinstance(value, str) and value.lstrip()[:1] in ("{", '"') and len(value) > 2)


def _may_be_answer(value: object) -> bool:
    return isinstance(value, list) or _is_body(value) or (isinstance(value, str) and value.startswith((*_STREAMS, "[")))


def _answer_in(value: object) -> object:
    """A whole answer: an object, or a stream as the list of its chunks or as text; None for anything else."""
    said = parsed(value)
    if isinstance(said, dict) and "streamed_data" in said:
        said = said["streamed_data"]
    if isinstance(said, dict):
        error = said.get("error")
        failed = isinstance(error, dict) and not {"message", "type", "code"}.isdisjoint(error)
        return said if failed or any(keys <= said.keys() for keys in _ANSWERS) else None
    return said if assembled(said) or any("candidates" in part for part in events(said)) else None


def _body_row(request: object, answer: object) -> dict[str, object]:
    body = parsed(request) if _is_body(request) else None
    said = _answer_in(answer) if answer is not None and _may_be_answer(answer) else None
    answered = said is not None
    asked = isinstance(body, dict) and not _REQUEST_KEYS.isdisjoint(body)
    row: dict[str, object] = {}
    if not asked and not answered:
        return row
    body = body if asked else None
    rewritten = fill_from_bodies(body, said, row)
    if not rewritten and body is not request and isinstance(request, str) and request[:1] == '"':
        row["messages"] = body  # it was text of a text
    if answered:
        row.setdefault("response_text", None)  # a whole answer is no text
    row.pop("exchange_id", None)
    if not row.get("logprobs") and not (isinstance(body, dict) and "model" in body):
        row.pop("logprobs", None)  # an excerpt of a request does not say what was not asked for
    return row


def assemble(part: Rows[dict[str, object]], source: Source, mapping: FieldMap | None) -> Batch:
    """A batch from rows already read into columns: column -> value. A field map's fields and constants take precedence.

    Fields of the map are looked up in the rows as logged. Rows without an id get one derived from their position.
    """
    made = part.rows
    found: Columns = {name: [row.get(name) for row in made] for name in sorted(set[str]().union(*made))}
    at = TimeFormat()
    if mapping is not None:
        at = time_format(mapping.time) or at
        logged = [_decode(line) for line in part.lines]
        if mapping.where:
            kept = chosen(logged, part.numbers, mapping, finder)
            _watch(source, mapping).saw(logged, kept)
            logged = [logged[i] for i in kept.places]
            found = {name: [values[i] for i in kept.places] for name, values in found.items()}
            part = part._replace(numbers=kept.numbers)
        _overlay(found, mapping, logged)
    found["exchange_id"] = _complete_ids(found.get("exchange_id"), source, part.numbers)
    hops = mapping.hops if mapping is not None else Hops()
    notes = notes_of(source.stream)
    if mapping is not None:
        _say_unit(mapping, found, notes.units)
    exchanges, more = conform(
        settled(found, hops), EXCHANGES, source.name, part.numbers, at=at, dropped=notes.dropped, units=notes.units
    )
    return Batch(exchanges, part.rejected + more)


def _overlay(found: Columns, mapping: FieldMap, logged: list[dict[str, object]]) -> None:
    keys = set[str]().union(*logged)
    for name in mapping.fields:
        mapped: Values = _looked_up(logged, keys, name, mapping)
        if name in _HASHED:
            mapped = hashed(mapped).to_pylist()
        before: Values = found.get(name, [None] * len(logged))
        found[name] = [b if m is None else m for m, b in zip(mapped, before, strict=True)]
    for name, value in mapping.constants.items():
        found[name] = hashed([value] * len(logged)).to_pylist() if name in _HASHED else [value] * len(logged)
