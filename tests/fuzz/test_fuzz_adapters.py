"""Damaged samples of every format: whatever is flipped, cut or doubled, reading ends in exchanges and rejections.

`tests/fuzz/atheris_adapters.py` does the same guided by coverage, for as many runs as it is given.
"""

import bz2
import gzip
import io
import json
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.path.odd_logs import mapped
from tests.path.test_odd_wrappings import AROUND

from clonewatch.adapters import otlp_names
from clonewatch.adapters.any_body import fill_from_bodies
from clonewatch.adapters.client_addresses import client_address
from clonewatch.adapters.headers import fill_from_headers
from clonewatch.adapters.instants import EARLIEST, LATEST, instant
from clonewatch.adapters.mapped import assemble
from clonewatch.adapters.mapping import presets
from clonewatch.adapters.placeholders import told
from clonewatch.adapters.reading import FORMATS, open_log
from clonewatch.adapters.rows import Rows
from clonewatch.adapters.streams import Stream, Tally
from clonewatch.adapters.telemetry import Record
from clonewatch.adapters.telemetry_calls import call
from clonewatch.model.errors import ClonewatchError
from clonewatch.model.read_results import Rejected
from clonewatch.ports.adapter import Source
from clonewatch.ports.mapping import Hops

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "adapters"
SAMPLES = {
    p.name: p.read_bytes()
    for p in sorted(GOLDEN.iterdir())
    if p.suffix in (".ndjson", ".json", ".csv") and ".expected" not in p.name
}
TOKENS = (
    b'"', b"{", b"}", b"[", b"]", b",", b"\\", b"\n", b"\r", b"\x00", b"\xff", b"\\ud800", b"1e999", b"null", b"9" * 30,
    b"-1", b"true", b'"":', b"NaN", b'{"a":' * 50, b"[" * 50,
)  # fmt: skip
damages = st.lists(
    st.tuples(
        st.sampled_from(["flip", "cut", "put", "double"]), st.floats(0, 1), st.integers(0, 255), st.sampled_from(TOKENS)
    ),
    min_size=1,
    max_size=6,
)
ATTRIBUTES = sorted({
    *(alias.attribute for alias in otlp_names.ALIASES), *otlp_names.KINDS, *otlp_names.TOOLS,
    *otlp_names.ERROR_ATTRIBUTES,
    *(alias.attribute for alias in otlp_names.PARAMETERS), otlp_names.USAGE.attribute, *otlp_names.VERCEL_KINDS,
    "llm.input_messages.0.message.role", "llm.input_messages.0.message.content", "llm.tools.0.tool.json_schema",
    "gen_ai.prompt.0.content", *otlp_names.STOPS, "llm.request.functions.0.name",
})  # fmt: skip
bounded = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def damaged(raw: bytes, done: list[tuple[str, float, int, bytes]]) -> bytes:
    data = bytearray(raw)
    for kind, place, byte, token in done:
        at = int(place * len(data))
        if kind == "flip" and at < len(data):
            data[at] = byte
        elif kind == "cut":
            del data[at : at + byte]
        elif kind == "put":
            data[at:at] = token
        elif kind == "double":
            data[at:at] = data[at : at + 10 * byte]
    return bytes(data)


def read(file: Path, name: str, field_map: Path | None) -> None:
    rejected: list[Rejected] = []
    try:
        for batch in open_log(file, format=name, mapping=field_map).batches(rejected.extend):
            batch.validate(full=True)
            assert batch.num_rows and all(batch.column(c).null_count == 0 for c in ("exchange_id", "ts", "account_id"))
    except ClonewatchError as error:
        assert error.what
    assert all(r.reason and len(r.reason) < 200 and r.line > 0 for r in rejected)


@pytest.mark.parametrize("name", SAMPLES)
@bounded
@given(done=damages)
def test_a_damaged_sample_never_breaks_its_reader(
    name: str, done: list[tuple[str, float, int, bytes]], tmp_path: Path
) -> None:
    file = tmp_path / name
    file.write_bytes(damaged(SAMPLES[name], done))
    stem = file.stem
    beside = GOLDEN / f"{stem}.toml"
    field_map = Path(stem) if stem in presets() else beside if beside.exists() else None
    read(file, "auto" if field_map else stem, field_map)


@pytest.mark.parametrize("name", [n for n in FORMATS.names() if not n.endswith("_map")])
@bounded
@given(raw=st.binary(max_size=200))
def test_bytes_out_of_nowhere_never_break_a_reader(name: str, raw: bytes, tmp_path: Path) -> None:
    file = tmp_path / "x"
    file.write_bytes(raw)
    read(file, name, None)


@bounded
@given(done=damages)
def test_damaged_packing_never_breaks_reading(done: list[tuple[str, float, int, bytes]], tmp_path: Path) -> None:
    file = tmp_path / "x.gz"
    file.write_bytes(damaged(gzip.compress(SAMPLES["exchange_ndjson.ndjson"]), done))
    read(file, "exchange_ndjson", None)


# Objects of queues and stores around a call.
QUEUES = (
    "pub/sub push", "pub/sub pull", "pub/sub pull answer", "sqs", "sns in sqs", "kinesis to lambda", "firehose",
    "insights results", "loki query", "journald, bytes", "debezium",
)  # fmt: skip


def lz4(data: bytes) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "lz4") as packed:
        packed.write(data)
    return bytes(sink.getvalue().to_pybytes())


def packings() -> dict[str, bytes]:
    """The calls of one sample in every wrapping, packing and encoding that is read."""
    raw = SAMPLES["openai.ndjson"]
    rows = [json.loads(line) for line in raw.splitlines() if line.strip()]
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("a", raw)
        made.writestr("b", raw)
    packed = [zstandard.compress(line) for line in raw.splitlines()]
    carried = [{"log": json.dumps(row) + "\n", "stream": "stdout"} for row in rows]
    return {
        "zip": archive.getvalue(),
        "bzip2": bz2.compress(raw) * 2,
        "framed zstd": b"".join(len(one).to_bytes(4, "big") + one for one in packed),
        "UTF-16": raw.decode().encode("utf-16"),
        "UTF-32": raw.decode().encode("utf-32"),
        "lz4": lz4(raw),
        "docker": "".join(json.dumps(one) + "\n" for one in carried).encode(),
        "prefix": b"".join(b"2026-03-01T10:00:00Z stdout F " + line + b"\n" for line in raw.splitlines()),
        "list": json.dumps({"data": rows, "total": 1}).encode(),
    } | {name: AROUND[name].encode() for name in QUEUES}


PACKINGS = packings()


@pytest.mark.parametrize("packing", PACKINGS)
@bounded
@given(done=damages)
def test_a_damaged_wrapping_never_breaks_reading(
    packing: str, done: list[tuple[str, float, int, bytes]], tmp_path: Path
) -> None:
    file = tmp_path / "x.log"
    file.write_bytes(damaged(PACKINGS[packing], done))
    read(file, "openai", None)
    read(file, "auto", None)


CELLS = json.dumps({"objectId": "acct-1"})
COLUMNS = [{"name": name, "type": "string"} for name in ("TimeGenerated", "CorrelationId", "properties_s")]
POSTED = {
    "startedDateTime": "2026-03-01T10:00:00.250Z",
    "time": 950.4,
    "request": {"headers": [{"name": "x-account", "value": "acme"}], "postData": {"text": '{"messages": []}'}},
    "response": {"status": 200, "content": {"text": '{"id": "a", "choices": []}'}},
}
# What is read through a map: a document, and the map.
MAPPED = {
    "tables of Azure": (
        {
            "tables": [
                {"name": "a", "columns": COLUMNS, "rows": [["2026-03-01T10:00:00Z", f"c-{i}", CELLS] for i in "12"]}
            ]
        },
        'exchange_id="CorrelationId"\naccount_id="properties_s.objectId"\nts="TimeGenerated"',
    ),
    "HTTP archive": (
        {"log": {"version": "1.2", "pages": [], "entries": [POSTED] * 2}},
        'account_id="request.headers.x-account"\nts="startedDateTime"\nlatency_ms="time"\n'
        'messages="request.postData.text"\nresponse_text="response.content.text"',
    ),
}


@pytest.mark.parametrize("kind", MAPPED)
@bounded
@given(done=damages)
def test_a_damaged_export_never_breaks_reading(
    kind: str, done: list[tuple[str, float, int, bytes]], tmp_path: Path
) -> None:
    document, fields = MAPPED[kind]
    file = tmp_path / "x.json"
    field_map = mapped(tmp_path, fields, "jsonl_map")
    file.write_bytes(json.dumps(document).encode())
    assert sum(batch.num_rows for batch in open_log(file, mapping=field_map).batches(list)) == 2
    file.write_bytes(damaged(json.dumps(document).encode(), done))
    read(file, "auto", field_map)


def columnar(folder: Path, kind: str) -> bytes:
    table = pa.table(
        {
            "exchange_id": [f"e{i}" for i in range(300)],
            "ts": pa.array([1772359200 + i for i in range(300)]),
            "account_id": pa.array(["a", "b", "c"] * 100).dictionary_encode(),
            "sketch": pa.array([[i] * 64 for i in range(300)], pa.list_(pa.uint32())),
        }
    )
    file = folder / "whole"
    if kind == "exchange_parquet":
        pq.write_table(table, file, row_group_size=100)
    else:
        writer = pa.ipc.new_stream if kind == "stream" else pa.ipc.new_file
        with writer(file, table.schema) as sink:
            sink.write_table(table, 100)
    return file.read_bytes()


@pytest.mark.parametrize("kind", ["exchange_parquet", "stream", "file"])
@bounded
@given(place=st.floats(0, 1), byte=st.integers(0, 255), cut=st.booleans())
def test_a_damaged_columnar_file_never_breaks_its_reader(
    kind: str, place: float, byte: int, cut: bool, tmp_path: Path
) -> None:
    raw = bytearray(columnar(tmp_path, kind))
    at = min(int(place * len(raw)), len(raw) - 1)
    raw[at] = byte
    file = tmp_path / "x"
    file.write_bytes(raw[:at] if cut else raw)
    read(file, "exchange_parquet" if kind == "exchange_parquet" else "exchange_arrow", None)


plain = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=40)
# Keys that readers of bodies, spans, headers and placeholders look for.
KEYS = (
    "messages", "contents", "parts", "text", "role", "content", "tools", "generationConfig", "inputText", "message",
    "p", "k",
    "chat_history", "toolConfig", "inferenceConfig", "candidates", "usageMetadata", "choices", "output", "results",
    "usage",
    "system", "instructions", "input", "prompt", "headers", "body", "functionDeclarations", "type", "data", "metadata",
    "labels", "stopSequences", "textGenerationConfig", "generations", "meta", "stream", "user", "name", "value",
)  # fmt: skip
bodies = st.recursive(
    plain
    | st.sampled_from(["redacted-by-litellm", "data:image/png;base64,AA", "encrypted", "USER", '{"a": 1}', '"x"']),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=5),
    max_leaves=25,
)


def _nowhere() -> Source:
    """A file of its own: a file keeps the unit of its first times."""
    return Source("nowhere", Stream(Tally(io.BytesIO(b""), None)))  # type: ignore[arg-type]


@settings(max_examples=300, deadline=None)
@given(request=bodies, response=bodies, logged=bodies)
def test_no_body_breaks_the_readers_of_bodies(request: object, response: object, logged: object) -> None:
    row: dict[str, object] = {}
    fill_from_bodies(request, response, row)
    fill_from_headers(logged, row)
    told(request)
    batch = assemble(
        Rows([row | {"ts": 1772359200, "account_id": "a", "exchange_id": "e"}], [1], [], []), _nowhere(), None
    )
    assert batch.exchanges.num_rows == 1 and not batch.rejected


@settings(max_examples=300, deadline=None)
@given(record=st.fixed_dictionaries({"attributes": st.dictionaries(st.sampled_from(ATTRIBUTES), bodies, max_size=8)}))
def test_no_attribute_breaks_the_reader_of_telemetry(record: dict[str, dict[str, object]]) -> None:
    row = call(Record({}, record["attributes"], [], 1772359200 * 10**9, 0, "a-b", code=2, message="429"))
    if row is not None:
        named = row | {"account_id": "a", "exchange_id": "e"}
        batch = assemble(Rows([named], [1], [], []), _nowhere(), None)
        assert batch.exchanges.num_rows == 1


@settings(max_examples=300, deadline=None)
@given(text=st.text(alphabet='0123456789.:[]%, abcdefFOR=;"*x-', max_size=60), trusted=st.none() | st.integers(0, 4))
def test_any_text_is_an_address_or_stays(text: str, trusted: int | None) -> None:
    found = client_address(text, Hops(trusted))
    assert found is None or client_address(found, Hops(trusted)) in (found, None)


@settings(max_examples=300, deadline=None)
@given(
    text=st.text(max_size=40)
    | st.from_regex(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d[.,]?\d*( ?[A-Z+-]\w*)?", fullmatch=True)
)
def test_any_text_is_a_time_between_the_years_or_none(text: str) -> None:
    found = instant(text)
    assert found is None or EARLIEST <= found < LATEST
