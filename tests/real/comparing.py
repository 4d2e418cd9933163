"""Compares what Clonewatch reads from a log with what was sent, field by field and by value."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
from calls import DATED, SLOW, Call, Json, calls, ticket
from runs import Source

from clonewatch.adapters.reading import open_log
from clonewatch.kernels.buffers import text_buffers
from clonewatch.kernels.chat import SPANS, read_chats
from clonewatch.model.read_results import Rejected
from clonewatch.model.schema import EXCHANGES

RIGHT, MISSING, OTHER, UNREAD, WRONG = "right", "missing at the source", "other at the source", "not read", "wrong"
FIELDS = (
    "call", "exchange_id", "ts", "account_id", "org_id", "api_key_id", "end_user_id", "end_user_provenance",
    "session_id", "operation", "model", "status", "stop_reason", "input_tokens", "output_tokens", "reasoning_tokens",
    "cached_tokens", "latency_ms", "stream", "logprobs", "max_tokens", "temperature", "top_p", "n", "tools_count",
    "client_ip", "user_agent", "sdk", "prompt", "system", "tools", "format", "stop", "response_text",
)  # fmt: skip
# Where in a row of somebody's log a value of this field would stand; of others it may stand anywhere.
_PLACES = {
    "status": r"status|code|error|exception|message",
    "stop_reason": r"finish|stop_reason|status|reason",
    "input_tokens": r"(prompt|input).*tokens?|tokens?.*(prompt|input)",
    "output_tokens": r"(completion|output).*tokens?|tokens?.*(completion|output)",
    "reasoning_tokens": r"reasoning",
    "cached_tokens": r"cache",
    "latency_ms": r"duration|latency|response_time",
    "stream": r"stream",
    "logprobs": r"logprobs",
    "max_tokens": r"max_(completion_|output_)?tokens",
    "temperature": r"temperature",
    "top_p": r"top_p",
    "n": r"(^|\.)n$|choice\.count",
    "operation": r"operation|call_type|kind|request\.type",
    "end_user_provenance": r"$^",
}
# What stands in a row by default may be read although nobody sent it.
_DEFAULTS: dict[str, tuple[object, ...]] = {
    "n": (1,), "stream": (False,), "logprobs": (False,), "response_text": ("",), "tools_count": (0,),
    "cached_tokens": (0,), "reasoning_tokens": (0,), "output_tokens": (0,), "temperature": (1.0,), "top_p": (1.0,),
}  # fmt: skip


@dataclass
class Found:
    """What became of a source. counts: by field and verdict; examples: the first of each kind that is not right."""

    source: str
    counts: dict[str, Counter[str]] = field(default_factory=lambda: {name: Counter() for name in FIELDS})
    examples: dict[tuple[str, str], str] = field(default_factory=dict)

    def add(self, name: str, verdict: str, example: str) -> None:
        """Count one comparison."""
        self.counts[name][verdict] += 1
        if verdict != RIGHT:
            self.examples.setdefault((name, verdict), example)

    def total(self) -> Counter[str]:
        """Verdicts over all fields."""
        return sum(self.counts.values(), Counter())


def compared(source: Source) -> Found:
    """Every field of every call that the source could have seen."""
    found = Found(source.name)
    known = [call for call in calls() if call.api in source.apis]
    raw = _raw(source)
    read, rejected = _rows(source)
    by_call = _matched(read, known, source)
    for call in known:
        rows, record = by_call.get(call.number, []), raw.get(call.number, [])
        if len(rows) != 1:
            verdict = WRONG if rows else UNREAD if record else MISSING
            found.add("call", verdict, f"{len(rows)} rows of call {call.number}; {rejected[:1]}")
        else:
            found.add("call", RIGHT, "")
        for row in rows[:1]:
            _compare(call, row, record, source, found)
    for row in by_call.get(-1, []):
        found.add("call", WRONG, f"a row of no call: {row}")
    return found


# ---- what was read ---------------------------------------------------------------------------------------------------


def _rows(source: Source) -> tuple[list[Json], list[Rejected]]:
    """The rows as Clonewatch reads them, with what fingerprinting finds in their texts."""
    rejected: list[Rejected] = []
    opened = open_log(source.log, mapping=None if source.map is None else Path(source.map))
    batches = opened.batches(rejected.extend)
    table = pa.concat_tables([pa.Table.from_batches([batch]) for batch in batches], promote_options="default")
    rows: list[Json] = [dict.fromkeys(c.name for c in EXCHANGES.columns) | row for row in table.to_pylist()]
    text = text_buffers(table.column("messages"))
    chats = read_chats(text)
    for i, row in enumerate(rows):
        row["prompt"], row["system"] = _said(chats.user, i), row["system_text"] or _said(chats.system, i)
        for j, name in enumerate(SPANS):
            start, end = chats.spans[i, j]
            row[name] = json.loads(bytes(text.data[start:end])) if end > start else None
    return rows, rejected


def _said(text: Any, row: int) -> str | None:
    if not text.valid[row]:
        return None
    return bytes(text.data[text.offsets[row] : text.offsets[row + 1]]).decode()


def _matched(rows: list[Json], known: list[Call], source: Source) -> dict[int, list[Json]]:
    """Rows by the number of their call: by its ticket, else by an id, else by the time; -1 for none."""
    ids = {name: call.number for call in known for name in _ids(call, source)}
    found: dict[int, list[Json]] = {}
    everything = {call.number for call in calls()}
    for row in rows:
        number = ticket(row["prompt"] or "")
        if number is None:
            number = ids.get(row["exchange_id"])
        if number is None:
            at = _seconds(row["ts"])
            within = [n for n, sent in source.sent.items() if sent["begun"] <= at <= sent["ended"]]
            number = within[0] if within else -1
        if number == -1 or number not in everything or any(number == call.number for call in known):
            found.setdefault(number, []).append(row)
    return found


def _ids(call: Call, source: Source) -> list[str]:
    """The names under which a source may know a call, the one that its row should have first."""
    sent = source.sent[call.number]
    if source.ids == "server":
        return [f"srv-{call.number:04d}"]
    if source.ids == "spans":
        answered = [call.response_id] if call.status == 200 and call.response_id else []
        return answered + list(sent["spans"])
    return [sent[source.ids]] if sent.get(source.ids) else []


def _seconds(value: Any) -> float:
    stamp: float = value.replace(tzinfo=UTC).timestamp() if isinstance(value, datetime) else float(value)
    return stamp


# ---- what was sent ---------------------------------------------------------------------------------------------------


def expected(call: Call, source: Source) -> Json:
    """Every field as it was sent, None where it was not: a set of values where several are right."""
    body, sent = call.body, source.sent[call.number]
    answered = call.status == 200
    unknown = call.api == "chat" and call.stream and "stream_options" not in body  # the server said no counts
    counts = call.tokens if answered and not unknown else {}
    form = body.get("response_format") or (body.get("text") or {}).get("format")
    lang, version = sent["x-stainless-lang"], sent["x-stainless-package-version"]
    return {
        "exchange_id": next(iter(_ids(call, source)), None),
        "account_id": call.account_id,
        "org_id": call.org_id,
        "api_key_id": {call.key_id, _hash(call.key)},
        "end_user_id": call.end_user,
        "end_user_provenance": "claimed" if call.end_user else None,
        "session_id": call.session,
        "operation": "embedding" if call.api == "embeddings" else "chat",
        "model": {body["model"], body["model"] + DATED},
        "status": call.status,
        "stop_reason": call.stop if answered else None,
        **{name: counts.get(name) for name in ("input_tokens", "output_tokens", "reasoning_tokens", "cached_tokens")},
        "stream": call.stream,
        "logprobs": body.get("logprobs"),
        "max_tokens": next((body[k] for k in body if re.fullmatch(r"max_(completion_|output_)?tokens", k)), None),
        **{name: body.get(name) for name in ("temperature", "top_p", "n")},
        "tools_count": len(body["tools"]) if "tools" in body else None,
        "client_ip": call.address,
        "user_agent": sent["user-agent"],
        "sdk": f"{lang} {version}",
        "prompt": call.prompt,
        "system": call.system,
        "tools": _plain_tools(body.get("tools")),
        "format": form,
        "stop": body.get("stop") or body.get("stop_sequences"),
        "response_text": call.answer or None if answered else None,
    }


def _hash(key: str) -> str:
    from hashlib import sha256

    return sha256(key.encode()).hexdigest()


def _plain_tools(tools: Any) -> Any:
    """Tools in one form: name, description, parameters."""
    if not isinstance(tools, list):
        return tools or None
    plain = []
    for given in tools:
        tool = given.get("function", given) if isinstance(given, dict) else {}
        schema = tool.get("parameters", tool.get("input_schema"))
        plain.append((tool.get("name"), tool.get("description"), json.dumps(schema, sort_keys=True)))
    return plain


# ---- verdicts --------------------------------------------------------------------------------------------------------


def _compare(call: Call, row: Json, record: list[tuple[str, Any]], source: Source, found: Found) -> None:
    sent = source.sent[call.number]
    wanted = expected(call, source)
    late = (SLOW - 0.05) if call.slow else 0.0
    begun, ended = sent["begun"] - 0.002, sent["ended"] + 0.002
    at, took = _seconds(row["ts"]), row["latency_ms"]
    known = any(begun <= t <= ended - late for t in _times(record))  # when it arrived, where the source says that
    fits = begun <= at <= ended - late
    about = f"call {call.number} ({call.api}, {'streamed' if call.stream else 'not streamed'})"
    found.add(
        "ts", RIGHT if fits else WRONG if known else OTHER, f"{about}: dated {at - begun:.3f} s after it was sent"
    )
    if took is None:
        found.add("latency_ms", MISSING, "no latency")
    else:
        fits = late * 1000 <= took <= (ended - begun) * 1000 + 5
        verdict = RIGHT if fits else WRONG if known else OTHER
        found.add("latency_ms", verdict, f"{about}: {took} ms, where {(ended - begun) * 1000:.0f} ms passed")
    if source.ids == "spans" and not _stands("exchange_id", call.response_id, record):
        wanted["exchange_id"] = set(sent["spans"])
    for name, value in wanted.items():
        got = _plain_tools(row[name]) if name == "tools" else row[name]
        verdict = _verdict(name, value, got, record)
        if verdict:
            found.add(name, verdict, f"call {call.number} ({call.api}, {call.status}): sent {value!r}, read {got!r}")


def _verdict(name: str, value: Any, got: Any, record: list[tuple[str, Any]]) -> str | None:
    """What became of one field; None if nothing was sent and nothing was read."""
    if value is None or (value in (False, 0) and got is None):
        if got is None or got in _DEFAULTS.get(name, ()) or name in ("session_id", "exchange_id"):
            return None
        return OTHER if name in ("input_tokens", "output_tokens") or _stands(name, got, record) else WRONG
    if _same(value, got):
        return RIGHT
    choices = value if isinstance(value, set) else [value]
    if got is None:
        return UNREAD if any(_stands(name, v, record) for v in choices) else MISSING
    if any(_stands(name, v, record, whole=True) for v in choices):
        return WRONG
    return OTHER if _stands(name, got, record) else WRONG


def _same(value: Any, got: Any) -> bool:
    if isinstance(value, set):
        return got in value
    if isinstance(value, float):
        return isinstance(got, float | int) and abs(value - got) < 1e-6
    return bool(value == got)


def _times(record: list[tuple[str, Any]]) -> Iterator[float]:
    """Everything in a record that could be a time, in seconds."""
    for path, held in record:
        if "timing_windows" in path:
            continue  # LiteLLM's call to the model server, not the client's
        if isinstance(held, str):
            try:
                yield datetime.fromisoformat(held).timestamp() if "T" in held else _as_seconds(float(held))
            except ValueError:
                continue
        elif isinstance(held, int) or (isinstance(held, float) and not held.is_integer()):
            yield _as_seconds(held)


def _as_seconds(number: float) -> float:
    """Nanoseconds as seconds; whole seconds, such as `created`, are too coarse to tell anything."""
    return number / 1e9 if number > 1e15 else number if number % 1 else 0.0


def _stands(name: str, value: Any, record: list[tuple[str, Any]], whole: bool = False) -> bool:
    """Whether a value stands in the source's own record of the call, where that field would stand.

    whole: a text counts only if it is all that stands there.
    """
    place = re.compile(_PLACES.get(name, ""), re.IGNORECASE)
    if name in ("tools", "tools_count"):
        return any("To look_up a place" in str(v) for _, v in record)
    if name == "format":
        return any(v == value["type"] for _, v in record)
    if name == "stop":
        return any(v in (["END"], "END") for _, v in record)
    if isinstance(value, str):
        value = value.removeprefix("Two parts:\n")  # the first of two parts
    for path, held in record:
        if place.search(path) is None:
            continue
        if held == value and isinstance(held, bool) == isinstance(value, bool):
            return True
        if isinstance(held, str) and not whole and len(str(value)) > 1 and str(value) in held:
            return True
    return False


# ---- the source's own records ----------------------------------------------------------------------------------------


def _raw(source: Source) -> dict[int, list[tuple[str, Any]]]:
    """Everything that the source wrote about each call, as paths and values, found by ticket or id."""
    known = [call for call in calls() if call.api in source.apis]
    ids = {name: call.number for call in known for name in _ids(call, source)}
    found: dict[int, list[tuple[str, Any]]] = {}
    for line in source.log.read_text(encoding="utf-8").rstrip("\n").split("\n"):
        for record in _records(json.loads(line)):
            flat = list(_flat("", record))
            names = {str(v) for _, v in flat}
            spans = {str(v) for path, v in flat if path.endswith("spanId")}
            number = next((n for v in names if (n := ticket(v)) is not None), None)
            for name, of in ids.items() if number is None else ():
                if name in names or name.partition("-")[2] in spans:
                    number = of
            if number is not None:
                found.setdefault(number, []).extend(flat)
    return found


def _records(line: Json) -> Iterator[object]:
    """The spans and log records of an export request; otherwise the line itself."""
    groups = [*line.get("resourceSpans", []), *line.get("resourceLogs", [])]
    if not groups:
        yield line
    for group in groups:
        for scope in [*group.get("scopeSpans", []), *group.get("scopeLogs", [])]:
            yield from scope.get("spans", scope.get("logRecords", []))


def _flat(path: str, value: object) -> Iterator[tuple[str, Any]]:
    """Paths and values, JSON in text opened, and OTLP's pairs under their keys."""
    if isinstance(value, str) and value[:1] in ("{", "["):
        try:
            yield from _flat(path, json.loads(value))
        except ValueError:
            pass
    if isinstance(value, Mapping):
        if set(value) == {"key", "value"} and isinstance(value["value"], Mapping):
            yield from _flat(f"{path}.{value['key']}", next(iter(value["value"].values()), None))
            return
        for key, held in value.items():
            yield from _flat(f"{path}.{key}", int(held) if key == "intValue" else held)
        return
    if isinstance(value, list):
        for held in value:
            yield from _flat(path, held)
    yield path, int(value) if isinstance(value, str) and value.isdecimal() and len(value) < 10 else value
