"""Langfuse's export of observations to blob storage, JSON lines: generations and embeddings are the calls."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from clonewatch.adapters.any_body import fill_from_bodies
from clonewatch.adapters.bodies import Row, inner, parsed, put
from clonewatch.adapters.instants import instant
from clonewatch.adapters.mapped import assemble
from clonewatch.adapters.observations import OPERATIONS, is_one
from clonewatch.adapters.rows import Rows, rows
from clonewatch.adapters.streams import notes_of
from clonewatch.adapters.telemetry_calls import status_in, usage_apart
from clonewatch.adapters.telemetry_content import content
from clonewatch.ports.adapter import Adapter, Batch, Source
from clonewatch.ports.mapping import FieldMap

Json = dict[str, object]
_BODY = ("messages", "input", "contents", "prompt")


class Langfuse(Adapter):
    """Reads enriched observations; other observations of a trace are skipped and counted."""

    name = "langfuse"
    summary = "Langfuse export of observations, JSON lines"
    account_hint = (
        "export enriched observations, and set `user_id` on your traces to the account; or name the field that holds "
        'it in a field map with format = "langfuse": account_id = "metadata.account"'
    )

    def claims(self, head: bytes, name: str) -> bool:
        """Whether the first object is an observation."""
        return is_one(head)

    def read(self, source: Source, mapping: FieldMap | None) -> Iterator[Batch]:
        """Batches of up to 32,768 observations."""
        decode = msgspec.json.Decoder(Json).decode
        other = 0
        for part in rows(source.stream, source.name, decode):
            made = [(observation(row), n, i) for i, (row, n) in enumerate(zip(part.rows, part.numbers, strict=True))]
            kept = [(row, n, i) for row, n, i in made if row is not None]
            other += len(made) - len(kept)
            lines = [part.lines[i] for _, _, i in kept]
            calls = Rows([row for row, _, _ in kept], [n for _, n, _ in kept], lines, part.rejected)
            yield assemble(calls, source, mapping)
        if other:
            notes_of(source.stream).warn(f"{other} observations that are not model calls were skipped")


def observation(line: Json) -> Row | None:
    """A generation as a row: column -> value; None for other observations."""
    kind = str(line.get("type")).upper()
    if kind not in OPERATIONS:
        return None
    row: Row = {
        "exchange_id": line.get("id"),
        "ts": _of(line, "start_time", "startTime"),
        "account_id": _of(line, "user_id", "userId"),
        "operation": OPERATIONS[kind],
    }
    put(row, "session_id", _of(line, "session_id", "sessionId"), _of(line, "trace_id", "traceId"))
    put(row, "model", _of(line, "provided_model_name", "model"))
    asked = parsed(_of(line, "model_parameters", "modelParameters"))
    if isinstance(asked, dict):
        put(row, "max_tokens", asked.get("max_completion_tokens"), asked.get("max_tokens"))
        for column in ("temperature", "top_p", "n", "stream"):
            put(row, column, asked.get(column))
    for usage in (_of(line, "usage_details", "usageDetails"), line.get("usage")):  # the second one of older versions
        usage_apart(inner({"usage": usage}, "usage"), row)
    if line.get("level") == "ERROR":
        put(row, "status", status_in(str(_of(line, "status_message", "statusMessage") or "")))
    start, end = instant(row["ts"]), instant(_of(line, "end_time", "endTime"))
    if start is not None and end is not None and end >= start:
        put(row, "latency_ms", (end - start) // 1000)
    _texts(line, row)
    return row


def _texts(line: Json, row: Row) -> None:
    asked, said = parsed(line.get("input")), line.get("output")
    if isinstance(asked, dict) and any(key in asked for key in _BODY):
        made: Row = {}
        rewritten = fill_from_bodies(asked, parsed(said), made)
        made.pop("logprobs", None) if not made.get("logprobs") else None
        for column, value in made.items():
            if row.get(column) is None and column != "exchange_id":
                row[column] = value
        if rewritten:
            return
    row["messages"] = content("messages", asked) if asked else None
    put(row, "response_text", content("response_text", said))


def _of(line: Json, snake: str, camel: str) -> object:
    value = line.get(snake)
    return line.get(camel) if value is None else value


ADAPTER = Langfuse()
