"""Objects in which loggers, stores and queues put a row: docker, GELF, Loki, Cloud Logging, Splunk, Pub/Sub, SQS, ...

They differ in a few names only: the key under which the row stands, as an object or as a line of text, and the keys of
the logger beside it. An object may stand in another one, as in docker's line in a hit of Elasticsearch.
"""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Callable, Iterator
from typing import BinaryIO, NamedTuple

import msgspec

from clonewatch.adapters.instants import EPOCH, MICROSECOND, instant
from clonewatch.adapters.lines import Lines
from clonewatch.adapters.streams import limits_of

_LONGEST_PREFIX = 512
_DEEPEST = 5  # objects around a row
Cut = Callable[[BinaryIO], Iterator[Lines]]

# Keys under which a row stands as a line of text: docker and Fluent Bit, CloudWatch and others, journald, Cloud
# Logging, GELF, Splunk, Loki, CloudWatch Insights, SQS and SNS.
_TEXTS = (
    "log", "message", "MESSAGE", "msg", "textPayload", "full_message", "short_message", "_raw", "line", "@message",
    "event", "payload", "Body", "body", "Message",
)  # fmt: skip
# Keys under which it stands as an object: Cloud Logging, Elasticsearch, Splunk's export and its collector, Datadog,
# Kafka's tools and Debezium, Pub/Sub, Kinesis.
_OBJECTS = ("jsonPayload", "_source", "result", "event", "attributes", "json", "payload", "after", "message", "kinesis")
_JOURNAL = "MESSAGE"  # as a list of bytes where it is no plain text
_CLOUD_EVENT, _DATA = "specversion", "data"  # CloudEvents
# Beside data in base64, in messages of Pub/Sub and records of Kinesis and Firehose.
_QUEUED = frozenset(("messageId", "message_id", "publishTime", "kinesisSchemaVersion", "approximateArrivalTimestamp"))
_VALUES, _LABELS = "values", "stream"  # Loki: pairs of a time and a line, and what they have in common
# What loggers write beside a row.
_BESIDE = frozenset((
    "stream", "time", "attrs", "timestamp", "@timestamp", "ingestionTime", "eventId", "id", "logStreamName", "PRIORITY",
    "date", "tag", "host", "hostname", "source", "service", "status", "level", "severity", "tags", "type", "labels",
    "index", "version", "file", "offset", "preview", "lastrow", "sort", "fields", "facility", "logger", "thread",
    "env", "@version", "input", "agent", "ecs", "container", "kubernetes", "log", "_id", "_index", "_type", "_score",
    "attributes", "trace", "spanId", "traceSampled", "httpRequest", "operation", "resource", "success", "errors",
    "pod", "namespace", "topic", "partition", "tstype", "ts", "key", "headers", "broker",
    "before", "op", "ts_ms", "ts_us", "ts_ns", "transaction", "schema",
))  # fmt: skip
# A key that only loggers write: whatever else stands beside it was added to the row, not written by it.
_SIGNS = frozenset((
    "kubernetes", "docker", "container_id", "container_name", "container_image", "source_type", "ddsource", "ecs",
    "sourcetype", "insertId", "logName", "receiveTimestamp", "_index", "logStream", "logStreamName", "ingestionTime",
    "@version", "PRIORITY", "__CURSOR", "__REALTIME_TIMESTAMP", "facility", "logtag", "_HOSTNAME", "jsonPayload",
    "textPayload", "_source", "_raw", "short_message", "MESSAGE", "@message", "tag", "_time", "specversion", "tstype",
    *_QUEUED, "ackId", "subscription", "MessageId", "ReceiptHandle", "TopicArn", "eventSource", "@ptr",
))  # fmt: skip
# Keys of a row: an object that has one is itself the row.
OF_A_ROW = frozenset((
    "account_id", "account", "customer_id", "user", "user_id", "model", "request", "request_body", "response",
    "response_body", "messages", "prompt", "usage", "resourceSpans", "resourceLogs", "spans", "schemaType",
))  # fmt: skip
_TIMES = (
    "time", "timestamp", "@timestamp", "date", "ts", "_time", "receiveTimestamp", "__REALTIME_TIMESTAMP", "publishTime",
)  # fmt: skip
_TIMES_OF_ROWS = frozenset((
    *_TIMES, "created_at", "start_time", "startTime", "endTime", "msec", "when", "start", "createdAt",
))  # fmt: skip
_KNOWN_TIMES = frozenset(("time", "timestamp", "@timestamp", "ts"))
_MAY_CARRY = re.compile(rb'"(?:' + "|".join(sorted({*_TEXTS, *_OBJECTS, _VALUES, _DATA})).encode() + rb')"\s*:')

_object = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_text = msgspec.json.Decoder(str).decode
_value = msgspec.json.Decoder().decode
_bytes = msgspec.json.Decoder(list[int]).decode
_pairs = msgspec.json.Decoder(list[list[msgspec.Raw]]).decode
_FAULTS = (msgspec.MsgspecError, ValueError, RecursionError)


class Inner(NamedTuple):
    """A text or an object in a logger's object, and the time beside it: a member such as `"time":17`, or empty."""

    text: bytes
    time: bytes = b""


class Logged(NamedTuple):
    """What a logger's object carries. docker: whether its one text may be a part of a line, of a stream."""

    inner: list[Inner]
    docker: bool = False
    stream: bytes = b""

    @property
    def text(self) -> bytes:
        """The first text."""
        return self.inner[0].text if self.inner else b""

    @property
    def begins(self) -> bool:
        """Whether this is the first part of a line that was cut."""
        return self.docker and self.text.lstrip()[:1] == b"{" and not self.ends

    @property
    def ends(self) -> bool:
        """Whether the text ends where its line does."""
        return self.text.endswith(b"\n") or is_object(self.text)

    def rows(self, depth: int = 1) -> list[bytes]:
        """The rows inside, also those in further objects; none where there is no JSON."""
        found: list[bytes] = []
        for text, time in self.inner:
            json = text if text.lstrip()[:1] == b"{" else after_prefix(text)
            if json is not None:
                deeper = logged(json) if depth < _DEEPEST else None
                rows = deeper.rows(depth + 1) if deeper else []
                found += [_with_time(row, time) for row in rows or [json]]
        return found


def carried(line: bytes) -> list[bytes]:
    r"""The rows that a logger's object carries; none if it is no such object.

    >>> carried(b'{"log": "{\\"a\\": 1}\\n", "stream": "stdout"}'), carried(b'{"message": "{}", "user": 1}')
    ([b'{"a": 1}\n'], [])
    >>> carried(b'{"stream": {"app": "x"}, "values": [["1772359200250000000", "{\\"a\\": 1}"]]}')
    [b'{"timestamp":"2026-03-01T10:00:00.250000Z","a": 1}']
    """
    found = logged(line)
    return [] if found is None else found.rows()


def logged(line: bytes) -> Logged | None:
    """What an object carries if it is a logger's; None otherwise."""
    if not _MAY_CARRY.search(line):
        return None
    try:
        found = _object(line)
        if not OF_A_ROW.isdisjoint(found):
            return None
        if _VALUES in found and bytes(found.get(_LABELS, b""))[:1] == b"{":
            pairs = [pair for pair in _pairs(found[_VALUES]) if len(pair) > 1]
            return Logged([Inner(_plain(pair[1]), b'"timestamp":' + _moment(pair[0])) for pair in pairs])
        key = _key(found)
        if not key or not (_SIGNS & found.keys() or found.keys() - {key} <= _BESIDE):
            return None
        text = _plain(found[key])
        if key == _DATA and not _QUEUED.isdisjoint(found):
            text = b64decode(text, validate=True)
        return Logged([Inner(text, _time(found))], key == "log", bytes(found.get(_LABELS, b"")))
    except _FAULTS:
        return None


def _key(found: dict[str, msgspec.Raw]) -> str:
    """The key under which a row stands, empty for none: a text counts before an object beside it."""
    if _DATA in found and not _QUEUED.isdisjoint(found):
        return _DATA
    for keys, mark in ((_TEXTS, b'"'), (_OBJECTS, b"{")):
        for key in keys:
            if key in found and bytes(memoryview(found[key])[:1]) == mark:
                return key
    if b"[" == bytes(memoryview(found.get(_JOURNAL, b""))[:1]):
        return _JOURNAL
    return _DATA if _CLOUD_EVENT in found and _DATA in found else ""


def _plain(raw: msgspec.Raw) -> bytes:
    """An object as it is written; of a text, or of a list of its bytes, what it says."""
    if bytes(memoryview(raw)[:1]) == b"[":
        return bytes(_bytes(raw))
    return _text(raw).encode("utf-8", "replace") if bytes(memoryview(raw)[:1]) == b'"' else bytes(raw)


def _time(found: dict[str, msgspec.Raw]) -> bytes:
    """The time of a logger's object as a member of another one; under a name that formats know."""
    key = next((key for key in _TIMES if key in found), "")
    name = key if key in _KNOWN_TIMES else "timestamp"
    return b'"' + name.encode() + b'":' + _moment(found[key]) if key else b""


def _moment(raw: msgspec.Raw) -> bytes:
    """A time in JSON; a number as text, as its unit may differ from that of the times in rows."""
    value = _value(raw)
    if isinstance(value, str) and not value[:10].isdecimal():
        return bytes(raw)
    moment = instant(value)
    return bytes(raw) if moment is None else f'"{EPOCH + moment * MICROSECOND:%Y-%m-%dT%H:%M:%S.%fZ}"'.encode()


def _with_time(row: bytes, time: bytes) -> bytes:
    """A row with the logger's time, where it has none of its own: some loggers move it out of the row."""
    if not time:
        return row
    try:
        keys = _object(row).keys()
    except _FAULTS:
        return row
    if not keys or not _TIMES_OF_ROWS.isdisjoint(keys):
        return row
    at = row.index(b"{") + 1
    return row[:at] + time + b"," + row[at:]


def is_object(text: bytes) -> bool:
    """Whether a text is one JSON object."""
    try:
        _object(text)
    except _FAULTS:
        return False
    return True


def after_prefix(line: bytes) -> bytes | None:
    """The object at the end of a line, after a prefix of a logger; None where there is none."""
    at = line.find(b"{", 0, _LONGEST_PREFIX)
    rest = line[at:].rstrip()
    return rest if at > 0 and is_object(rest) else None


# ---- rows of a file -------------------------------------------------------------------------------------------------


def carriers(rows: list[bytes]) -> int:
    """How many rows are objects that carry a line, or a part of one."""
    count, within = 0, False
    for row in rows:
        found = logged(row)
        count += found is not None and (within or bool(found.rows()) or found.begins)
        within = found is not None and (found.begins or (within and not found.text.endswith(b"\n")))
    return count


class Held(NamedTuple):
    """The parts of a line so far, their size, and the number of the last one."""

    parts: list[bytes]
    size: int
    number: int

    def and_more(self, part: bytes, number: int) -> Held:
        """The same with one more part."""
        self.parts.append(part)
        return Held(self.parts, self.size + len(part), number)


def rest(held: dict[bytes, Held]) -> Iterator[Lines]:
    """Lines whose last part is not in the file: as torn ones."""
    for parts in held.values():
        yield Lines([b"".join(parts.parts)], [parts.number], [], torn=True)


def unpacked(cut: Cut) -> Cut:
    """Rows out of a logger's objects. Parts of a line that Docker cut are put together."""

    def cut_and_unpack(stream: BinaryIO) -> Iterator[Lines]:
        held: dict[bytes, Held] = {}
        for batch in cut(stream):
            kept: list[bytes] = []
            numbers: list[int] = []
            oversized = list(batch.oversized)
            for number, line in zip(batch.numbers, batch.lines, strict=True):
                found = logged(line)
                if found and found.stream in held and found.docker:
                    before = held.pop(found.stream)
                    if not is_object(found.text):
                        parts = before.and_more(found.text, number)
                        if parts.size > limits_of(stream).row:
                            oversized.append(number)
                        elif not _ends(parts.parts):
                            held[found.stream] = parts
                        else:
                            kept.append(b"".join(parts.parts))
                            numbers.append(number)
                        continue
                    kept.append(b"".join(before.parts))  # its other parts are missing
                    numbers.append(before.number)
                elif found and found.begins:
                    held[found.stream] = Held([found.text], len(found.text), number)
                    continue
                inner = (found.rows() if found else []) or [line]
                kept += inner
                numbers += [number] * len(inner)
            yield batch._replace(lines=kept, numbers=numbers, oversized=oversized)
        yield from rest(held)

    return cut_and_unpack


def _ends(parts: list[bytes]) -> bool:
    """Whether the last part of a line is its end: loggers that keep no line ending keep the end of its object."""
    return parts[-1].endswith(b"\n") or (parts[-1].rstrip()[-1:] == b"}" and is_object(b"".join(parts)))
