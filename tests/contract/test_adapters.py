"""What every log format on the shelf has to keep, whichever it is."""

import gzip
import io
import re
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet as pq
import pytest
import zstandard

from clonewatch.adapters.mapping import presets
from clonewatch.adapters.reading import FORMATS, open_log
from clonewatch.kernels.arrow import arrow_schema
from clonewatch.model.errors import ClonewatchError, InputError, MappingError
from clonewatch.model.read_results import Rejected
from clonewatch.model.schema import EXCHANGES
from clonewatch.ports.adapter import Adapter

ROOT = Path(__file__).resolve().parents[2]
GOLDEN = ROOT / "tests" / "golden" / "adapters"
SCHEMA = arrow_schema(EXCHANGES)
MARK = "aXq7-secret-prompt"
# Lines that no format accepts as an exchange, whatever their fault.
HOSTILE = (
    b"\x00" * 64,
    b"\xff\xfe\xfa not text",
    b"[" * 200_000,
    b'{"a":' * 50_000,
    b'{"ts": 1e999, "account_id": "' + MARK.encode() + b'"',
    b'{"' + MARK.encode() + b'": "' + MARK.encode() + b'"}',
    b"17",
    b"null",
    b'"' + MARK.encode() + b'"',
    b"[" + b"9" * 5000 + b"]",
    b'{"ts": ' + b"9" * 400 + b', "account_id": "a", "exchange_id": "b"}',
)


def columnar(folder: Path) -> dict[str, Path]:
    """The NDJSON sample again as Parquet and Arrow, file and stream."""
    log = open_log(GOLDEN / "exchange_ndjson.ndjson")
    table = pa.concat_tables([pa.Table.from_batches([b]) for b in log.batches(no_rejections)])
    made = {n: folder / f"sample.{n}" for n in ("parquet", "arrow", "arrows")}
    pq.write_table(table, made["parquet"])
    with pa.ipc.new_file(made["arrow"], table.schema) as file:
        file.write_table(table)
    with pa.ipc.new_stream(made["arrows"], table.schema) as stream:
        stream.write_table(table)
    return made


def no_rejections(rejected: object) -> None:
    raise AssertionError(rejected)


def samples(folder: Path) -> list[tuple[str, Path, Path | None]]:
    """Format, sample file, and the field map it is read with."""
    found = []
    for path in sorted(GOLDEN.iterdir()):
        if path.suffix in (".ndjson", ".json", ".csv") and ".expected" not in path.name:
            beside = path.with_suffix(".toml")
            name = path.stem
            if name in presets():
                found.append(("jsonl_map", path, Path(name)))
            else:
                found.append((name, path, beside if beside.exists() else None))
    made = columnar(folder)
    found.append(("exchange_parquet", made["parquet"], None))
    found += [("exchange_arrow", made[n], None) for n in ("arrow", "arrows")]
    mapped = folder / "parquet.toml"
    mapped.write_text('format = "parquet_map"\n[fields]\nts = "ts"\naccount_id = "account_id"\nmodel = "model"\n')
    found.append(("parquet_map", made["parquet"], mapped))
    return found


@pytest.fixture(scope="module")
def all_samples(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[str, Path, Path | None]]:
    return samples(tmp_path_factory.mktemp("samples"))


def read(path: Path, field_map: Path | None = None) -> tuple[list[pa.RecordBatch], list[Rejected], list[str]]:
    rejected: list[Rejected] = []
    log = open_log(path, mapping=field_map)
    return list(log.batches(rejected.extend)), rejected, log.warnings


def test_every_format_has_a_sample_and_every_preset_too(all_samples: list[tuple[str, Path, Path | None]]) -> None:
    assert {name for name, _, _ in all_samples} == set(FORMATS.names())
    assert {str(m) for _, _, m in all_samples if m and str(m) in presets()} == set(presets())


@pytest.mark.parametrize("name", FORMATS.names())
def test_a_format_says_what_it_is(name: str) -> None:
    adapter = FORMATS.load(name)
    assert adapter.name == name
    assert len(adapter.summary) > 10
    assert type(adapter).__doc__ and adapter.claims.__doc__ and adapter.read.__doc__


def test_exactly_one_format_claims_each_sample(all_samples: list[tuple[str, Path, Path | None]]) -> None:
    adapters = [FORMATS.load(name) for name in FORMATS.names()]
    for name, path, field_map in all_samples:
        head = path.read_bytes()[: 64 * 1024]
        claimed = [a.name for a in adapters if a.claims(head, path.name)]
        if field_map is None:
            assert claimed == [name], path.name
        elif path.suffix != ".parquet":
            assert claimed == [], path.name


@pytest.mark.parametrize(
    "head", [b"", b"\n", b"hello", b"{}", b"[]", b"[{}]", b'{"x": 1}', b"\x00" * 100, b"{" * 70_000]
)
def test_no_format_claims_what_is_no_log(head: bytes) -> None:
    assert [n for n in FORMATS.names() if FORMATS.load(n).claims(head, "x")] == []


def test_exchanges_come_typed_in_order_and_with_their_required_columns(
    all_samples: list[tuple[str, Path, Path | None]],
) -> None:
    for _name, path, field_map in all_samples:
        batches, rejected, _ = read(path, field_map)
        assert sum(b.num_rows for b in batches) > 0 and not rejected, path.name
        for batch in batches:
            names = batch.schema.names
            assert names == [n for n in EXCHANGES.names if n in names], path.name
            assert [f.type for f in batch.schema] == [SCHEMA.field(n).type for n in names], path.name
            for required in ("exchange_id", "ts", "account_id"):
                assert batch.column(required).null_count == 0, path.name
            batch.validate(full=True)


def test_the_same_log_packed_gives_the_same_exchanges(
    all_samples: list[tuple[str, Path, Path | None]], tmp_path: Path
) -> None:
    for name, path, field_map in all_samples:
        if name in ("exchange_parquet", "parquet_map") or path.suffix == ".arrow":
            continue
        plain = [b.to_pylist() for b in read(path, field_map)[0]]
        for pack in (gzip.compress, zstandard.compress):
            folder = tmp_path / pack.__module__
            folder.mkdir(exist_ok=True)
            packed = folder / path.name  # the same name: derived ids hold it
            packed.write_bytes(pack(path.read_bytes()))
            assert [b.to_pylist() for b in read(packed, field_map)[0]] == plain, path.name


def test_a_log_cut_anywhere_keeps_the_rows_before_the_cut(
    all_samples: list[tuple[str, Path, Path | None]], tmp_path: Path
) -> None:
    for name, path, field_map in all_samples:
        whole = path.read_bytes()
        rows = sum(b.num_rows for b in read(path, field_map)[0])
        for part in (0.999, 0.8, 0.5, 0.1):
            cut = tmp_path / path.name
            cut.write_bytes(whole[: int(len(whole) * part)])
            try:
                batches, rejected, _ = read(cut, field_map)
            except ClonewatchError as error:
                assert error.what and (error.fix or error.where), path.name
                continue
            kept = sum(b.num_rows for b in batches)
            assert kept <= rows, path.name
            if part == 0.5 and path.suffix == ".ndjson" and name != "exchange_arrow":
                assert kept >= whole[: len(whole) // 2].count(b"\n") - len(rejected), path.name


def hostile_files(path: Path, folder: Path) -> Iterator[tuple[Path, int]]:
    good = path.read_bytes()
    for ending in (b"\n", b"\r\n"):
        file = folder / path.name
        file.write_bytes(good.rstrip() + b"\n" + ending.join([*HOSTILE, b"", b""]) + good.rstrip() + b"\n")
        yield file, good.rstrip().count(b"\n") + 1


def test_hostile_lines_are_rejected_and_the_good_ones_kept(
    all_samples: list[tuple[str, Path, Path | None]], tmp_path: Path
) -> None:
    for _name, path, field_map in all_samples:
        if path.suffix != ".ndjson":
            continue
        rows = sum(b.num_rows for b in read(path, field_map)[0])
        for file, lines in hostile_files(path, tmp_path):
            batches, rejected, _ = read(file, field_map)
            assert sum(b.num_rows for b in batches) == 2 * rows, path.name
            bad = {r.line for r in rejected}
            assert bad <= set(range(lines + 1, lines + 1 + len(HOSTILE))), path.name
            # An object without spans, or that is no observation, is passed over and not rejected.
            assert len(bad) >= len(HOSTILE) - (2 if path.stem in ("otlp", "langfuse") else 0), path.name


def test_reasons_name_fields_and_faults_but_never_what_a_line_says(
    all_samples: list[tuple[str, Path, Path | None]], tmp_path: Path
) -> None:
    for _name, path, field_map in all_samples:
        if path.suffix not in (".ndjson", ".csv"):
            continue
        file = tmp_path / path.name
        text = path.read_bytes()
        spoiled = re.sub(
            rb'("(?:ts|when|timestamp|startTime|msec|start_time)"\s*:\s*)("[^"]*"|[\d.]+)',
            rb'\1"' + MARK.encode() + rb'"',
            text,
        )
        file.write_bytes(text.rstrip() + b"\n" + spoiled + b"\n" + b"\n".join(HOSTILE) + b"\n")
        _, rejected, warnings = read(file, field_map)
        assert rejected
        for told in [r.reason for r in rejected]:
            assert MARK not in told and "Rhine" not in told and "river" not in told
        assert not any("Rhine" in w or "river" in w for w in warnings)


def test_a_log_that_names_no_account_is_refused_with_the_field_to_map(
    all_samples: list[tuple[str, Path, Path | None]], tmp_path: Path
) -> None:
    names = (
        rb"account_id|project_id|arn|user|user_id|userId|team_id|api_key|user_api_key_(?:user_id|team_id|hash)|"
        rb"user\.id|enduser\.id|enduser\.pseudo\.id|traceloop\.association\.properties\.user_id"
    )
    keys = rb'"(' + names + rb')"'
    for name, path, field_map in all_samples:
        if field_map is not None or path.suffix not in (".ndjson", ".json"):
            continue
        file = tmp_path / path.name
        text = re.sub(keys, b'"other"', path.read_bytes())
        if name in ("exchange_ndjson", "litellm_spend"):
            continue  # told apart by that very key: then they are of unknown format, which the next test sees
        file.write_bytes(text)
        with pytest.raises(MappingError) as error:
            read(file)
        assert "account" in error.value.what and "account_id" in error.value.fix, name


def test_a_log_of_no_known_format_is_refused_with_the_way_out(tmp_path: Path) -> None:
    file = tmp_path / "odd.log"
    file.write_text('{"who": "a", "when": 1}\n')
    with pytest.raises(InputError, match=r"unknown format.*--map"):
        open_log(file)


@pytest.mark.parametrize("name", [n for n in FORMATS.names() if n.endswith("_map")])
def test_a_format_for_foreign_logs_is_refused_without_a_field_map(name: str, tmp_path: Path) -> None:
    file = tmp_path / "x"
    file.write_text("{}\n")
    with pytest.raises(MappingError, match="field map"):
        open_log(file, format=name)
    with pytest.raises(MappingError, match="field map"):
        list(FORMATS.load(name).read(_source(file), None))


def _source(file: Path) -> object:
    from clonewatch.ports.adapter import Source

    return Source(str(file), io.BytesIO(file.read_bytes()), str(file))


def test_the_guide_names_every_format_and_preset() -> None:
    guide = (ROOT / "docs" / "using" / "formats.md").read_text()
    missing = [n for n in (*FORMATS.names(), *presets()) if f"`{n}`" not in guide]
    assert missing == []


def test_every_line_shown_in_the_guide_is_read_as_it_says(tmp_path: Path) -> None:
    pages = sorted((ROOT / "docs" / "using" / "formats").glob("*.md"))
    part = re.compile(r"^##? `(\w+)`(?:(?!^##? `).)*?^```json\n(.*?)^```", re.MULTILINE | re.DOTALL)
    shown = [found for page in pages for found in part.findall(page.read_text())]
    assert {name for name, _ in shown} >= {
        n
        for n in FORMATS.names()
        if n not in ("exchange_parquet", "exchange_arrow", "parquet_map", "csv_map", "jsonl_map")
    }
    for name, text in shown:
        file = tmp_path / f"{name}.ndjson"
        file.write_text(text)
        field_map = Path(name) if name in presets() else None
        log = open_log(file, mapping=field_map)
        batches = list(log.batches(no_rejections))
        assert log.formats == ["jsonl_map" if field_map else name]
        assert sum(b.num_rows for b in batches) == len(text.strip().splitlines())


@pytest.mark.parametrize("name", FORMATS.names())
def test_a_format_keeps_the_whole_port(name: str) -> None:
    """What it does not say itself it has from the port: nothing is looked up by chance."""
    adapter = FORMATS.load(name)
    assert isinstance(adapter, Adapter)
    assert adapter.account_hint.strip() and not adapter.account_hint.endswith(".")
    assert adapter.summary and callable(adapter.check)
