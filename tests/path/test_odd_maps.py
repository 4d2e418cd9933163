"""Field maps with a slip of the pen: nothing that they mean is lost silently."""

import json
from pathlib import Path

import pytest
from tests.path.odd_logs import MAP, Row, lines, read

from clonewatch.adapters.reading import open_log
from clonewatch.model.errors import MappingError

ROWS: list[Row] = [
    {"id": f"e-{i}", "when": 1772359200 + i, "who": "acme", "type": "LLM", "took": took, "calls": [{"n": 1}, {"n": 2}]}
    for i, took in enumerate(["1.25s", "950 ms", 1.25, "2.5"])
]
FIELDS = '[fields]\nexchange_id = "id"\nts = "when"\naccount_id = "who"\n'


def warned(folder: Path, top: str = "", fields: str = FIELDS, rows: list[Row] = ROWS) -> tuple[list[Row], list[str]]:
    """The rows that a map finds, and the warnings about it."""
    (folder / "e.jsonl").write_text(lines(*rows))
    (folder / MAP).write_text(f'format = "jsonl_map"\n{top}\n{fields}')
    log = open_log(folder / "e.jsonl", mapping=folder / MAP)
    return [row for batch in log.batches(list) for row in batch.to_pylist()], log.warnings


def test_a_scale_keeps_text_with_a_unit_of_its_own(tmp_path: Path) -> None:
    rows, _ = warned(tmp_path, fields=FIELDS + 'latency_ms = {path = "took", scale = 1000}\n')
    assert [row["latency_ms"] for row in rows] == [1250, 950, 1250, 2500]


def test_a_scaled_value_that_is_no_number_is_counted(tmp_path: Path) -> None:
    (tmp_path / "e.jsonl").write_text(lines(*(row | {"n": "many"} for row in ROWS)))
    (tmp_path / MAP).write_text('format = "jsonl_map"\n' + FIELDS + 'n = {path = "n", scale = 2}\n')
    log = open_log(tmp_path / "e.jsonl", mapping=tmp_path / MAP)
    list(log.batches(list))
    assert {column: count for (column, _), count in log.dropped.items()} == {"exchanges.n": 4}


@pytest.mark.parametrize(
    ("top", "said"),
    [
        ('each = "call"', "no row has a list at 'call', which `each` of the field map names; did you mean 'calls'?"),
        ('[where]\ntype = "llm"', "all 4 rows are left out: none meets type = 'llm' of [where]"),
        ('[where]\ntype = "LLM"\n"took" = {not = [1.25, "2.5", "950 ms", "1.25s"]}',
         "all 4 rows are left out: none meets took = {not = '1.25' or '1.25s' or '2.5' or '950 ms'} of [where]"),
        ('[where]\ntook = "2.5"\nid = "e-0"',
         "all 4 rows are left out: none meets all conditions of [where] (took, id)"),
        ('[where]\ntipe = {present = true}', "did you mean 'type'?"),
        ('[where]\ntipe = {not = "test"}', "no row has a value at 'tipe', which [where] of the field map names"),
    ],
)  # fmt: skip
def test_what_a_map_looks_for_in_vain_is_said(tmp_path: Path, top: str, said: str) -> None:
    _, warnings = warned(tmp_path, top)
    assert any(said in warning for warning in warnings), warnings


def test_a_duration_that_no_row_has_is_said(tmp_path: Path) -> None:
    fields = FIELDS.replace('"when"', '{path = "when", minus = "tok"}')
    assert any(
        "'tok', which `minus` of the field map names; did you mean 'took'?" in w
        for w in warned(tmp_path, "", fields)[1]
    )


def test_a_map_that_finds_everything_says_nothing(tmp_path: Path) -> None:
    rows, warnings = warned(tmp_path, 'each = "calls"\n[where]\ntype = "LLM"')
    assert len(rows) == 8 and warnings == []


@pytest.mark.parametrize(
    ("text", "fix"),
    [
        ("eech = 'x'\n" + FIELDS, "Did you mean 'each'?"),
        ("[feilds]\nts = 'a'\n", "Did you mean 'fields'?"),
        (FIELDS + "each = 'calls'\n", "Write `each` at the top of the map, before any [section]"),
        (FIELDS + "modle = 'm'\n", "Did you mean 'model'?"),
        (FIELDS + "Model = 'm'\n", "Did you mean 'model'?"),
        (FIELDS + "model = {path = 'm', defualt = 'x'}\n", "Did you mean 'default'?"),
        (FIELDS + "model = ['m', {pth = 'n'}]\n", "Did you mean 'path'?"),
        (FIELDS + "[constants]\nchanel = 'direct'\n", "Did you mean 'channel'?"),
        (FIELDS + "[constants]\nchannel = 'drect'\n", "Did you mean 'direct'?"),
        (FIELDS + "[constants]\nend_user_provenance = 'singed'\n", "Did you mean 'signed'?"),
        (FIELDS + "channel = {path = 'c', default = 'clod'}\n", "Did you mean 'cloud'?"),
        (FIELDS + "[where]\nwho = {nott = 'x'}\n", "Did you mean 'not'?"),
        (FIELDS + "[when_empty]\nmesages = 'x'\n", "Did you mean 'messages'?"),
    ],
)  # fmt: skip
def test_an_unknown_word_in_a_map_is_refused_with_the_nearest_right_one(tmp_path: Path, text: str, fix: str) -> None:
    (tmp_path / "e.jsonl").write_text(json.dumps(ROWS[0]))
    (tmp_path / MAP).write_text('format = "jsonl_map"\n' + text)
    with pytest.raises(MappingError) as error:
        read(tmp_path / "e.jsonl", tmp_path / MAP)
    assert error.value.fix == fix


def test_a_map_over_an_export_of_langfuse_reads_its_calls_alone(tmp_path: Path) -> None:
    rows: list[Row] = [
        {
            "id": f"o-{i}",
            "type": kind,
            "startTime": "2026-03-01T10:00:00Z",
            "traceId": "t",
            "usageDetails": {},
            "who": "acme",
        }
        for i, kind in enumerate(["GENERATION", "SPAN", "EVENT"])
    ]
    fields = '[fields]\nts = "startTime"\naccount_id = "who"\n'
    found, warnings = warned(tmp_path, "", fields, rows)
    assert len(found) == 1 and any("reads the model calls alone" in one for one in warnings)
    found, warnings = warned(tmp_path, "[where]\nid = {present = true}", fields, rows)
    assert len(found) == 3 and not warnings


def test_a_map_over_a_file_whose_format_would_choose_rows_says_so(tmp_path: Path) -> None:
    rows: list[Row] = [{"resourceSpans": [], "who": "acme", "when": 1772359200}]
    _, warnings = warned(tmp_path, "", '[fields]\nts = "when"\naccount_id = "who"\n', rows)
    assert any("the format otlp knows this file" in one for one in warnings)


@pytest.mark.parametrize(("unit", "took"), [("auto", [3, 40]), ("ms", [3, 40]), ("s", [3000, 40000])])
def test_a_map_gives_the_unit_of_latencies(tmp_path: Path, unit: str, took: list[int]) -> None:
    """Whole numbers are milliseconds, unless the map says otherwise."""
    rows = [ROWS[0] | {"took": number} for number in (3, 40)]
    found, _ = warned(tmp_path, f'latency = "{unit}"', FIELDS + 'latency_ms = "took"\n', rows)
    assert [row["latency_ms"] for row in found] == took
    overlay = f'format = "openai"\nlatency = "{unit}"\n[fields]\nlatency_ms = "took"\n'
    (tmp_path / MAP).write_text(overlay)
    call = {"ts": 1772359200, "account_id": "acme", "request": {"messages": []}, "response": {"choices": []}}
    (tmp_path / "e.jsonl").write_text(lines(*(call | {"took": number} for number in (3, 40))))
    log = open_log(tmp_path / "e.jsonl", mapping=tmp_path / MAP)
    assert [row["latency_ms"] for batch in log.batches(list) for row in batch.to_pylist()] == took


def test_an_unknown_unit_of_latencies_is_named(tmp_path: Path) -> None:
    with pytest.raises(MappingError, match="unknown value of `latency`"):
        warned(tmp_path, 'latency = "minutes"')
