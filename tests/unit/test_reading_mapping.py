"""Field maps: what they may say, what they are told when they say it wrong, and what they make of real data."""

import json
from pathlib import Path

import pytest

from clonewatch.adapters.field_paths import finder
from clonewatch.adapters.mapping import EXAMPLE, check_map, load_map, presets
from clonewatch.adapters.reading import FORMATS, open_log
from clonewatch.model.errors import MappingError
from clonewatch.model.read_results import Rejected

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT.parent / "shared" / "data"
NAMES = FORMATS.names()
GOOD = {"format": "jsonl_map", "fields": {"account_id": "a", "ts": "t"}}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"format": None}, "does not name a format"),
        ({"format": "jsonl"}, "Did you mean 'jsonl_map'"),
        ({"fields": {"account_id": "a"}}, "nothing is mapped to `ts`.*ts = "),
        ({"fields": {"ts": "t"}}, "nothing is mapped to `account_id`.*account_id = "),
        ({"fields": {"account_id": "a", "ts": "t", "templte_id": "x"}}, "Did you mean 'template_id'"),
        ({"fields": {"account_id": "a", "ts": "t", "sketch": "x"}}, "'sketch' is not an exchange column"),
        ({"fields": {"account_id": 7, "ts": "t"}}, "`account_id` is not text"),
        ({"fields": ["account_id"]}, r"\[fields\] is not a table"),
        ({"constants": {"chanel": "x"}}, "Did you mean 'channel'"),
        ({"constants": {"model": ["x"]}}, "not a single value"),
        ({"constants": {"account_id": "x"}}, "cannot be a constant"),
        ({"constants": {"ts": 1}}, "cannot be a constant"),
        ({"time": "weeks"}, "unknown value of `time`"),
        ({"time": "s since yesterday"}, "unknown value of `time`"),
        ({"field": {}}, "Did you mean 'fields'"),
    ],
)
def test_the_error_of_a_wrong_map_names_the_fault_and_the_fix(change: dict[str, object], told: str) -> None:
    with pytest.raises(MappingError, match=f"(?s){told}") as error:
        check_map(GOOD | change, "my.toml", NAMES)
    assert error.value.where == "my.toml" and error.value.fix


def test_the_example_in_the_messages_is_itself_a_good_map(tmp_path: Path) -> None:
    file = tmp_path / "example.toml"
    file.write_text(EXAMPLE)
    assert load_map(file, NAMES).format == "jsonl_map"


@pytest.mark.parametrize("name", presets())
def test_every_preset_is_a_good_map(name: str) -> None:
    assert {"account_id", "ts"} <= load_map(Path(name), NAMES).fields.keys()


OTHERS = {
    ROOT / "examples" / name
    for name in ("prices.toml", "policy.toml", "policy_suspend.toml", "playbook.toml", "sharing.toml")
}
MAPS = sorted({*(ROOT / "examples").glob("*.toml")} - OTHERS)


@pytest.mark.parametrize("file", MAPS, ids=lambda p: p.stem)
def test_every_example_is_a_good_map_that_its_readme_names(file: Path) -> None:
    assert load_map(file, NAMES).fields["account_id"]
    assert f"`{file.name}`" in (file.parent / "README.md").read_text()


def test_a_map_that_is_missing_or_no_toml_is_named(tmp_path: Path) -> None:
    with pytest.raises(MappingError, match=r"no such field map.*nginx"):
        load_map(tmp_path / "none.toml", NAMES)
    odd = tmp_path / "odd.toml"
    odd.write_text("format = ")
    with pytest.raises(MappingError, match="not TOML"):
        load_map(odd, NAMES)
    odd.write_bytes(b"\xff\xfe")
    with pytest.raises(MappingError, match="is not text"):
        load_map(odd, NAMES)
    with pytest.raises(MappingError, match="is a folder"):
        load_map(tmp_path, NAMES)


@pytest.mark.parametrize(
    ("spec", "row", "found"),
    [
        ("a", {"a": 1}, 1),
        ("a.b", {"a": {"b": 1}}, 1),
        ("a.b", {"a.b": 1, "a": {"b": 2}}, 1),
        ("a.1.b", {"a": [{}, {"b": 1}]}, 1),
        ("a.9", {"a": [1]}, None),
        ("a.b", {"a": '{"b": 1}'}, 1),
        ("a.b", {"a": "{broken"}, None),
        ("a.b", {"a": 7}, None),
        ("a | b", {"b": 1}, 1),
        ("a | b", {"a": "-", "b": 1}, 1),
        ("a | b", {"a": 0, "b": 1}, 0),
    ],
)
def test_a_path_finds_what_it_names(spec: str, row: dict[str, object], found: object) -> None:
    assert finder(spec)(row) == found


def test_a_map_may_help_a_format_that_finds_its_own_fields(tmp_path: Path) -> None:
    log = tmp_path / "x.ndjson"
    text = (ROOT / "tests" / "golden" / "adapters" / "otlp.ndjson").read_text().splitlines()[0]
    log.write_text(text.replace('"user.id"', '"tenant.id"') + "\n")
    with pytest.raises(MappingError, match=r"user\.id"):
        list(open_log(log).batches(list))
    mapping = tmp_path / "m.toml"
    mapping.write_text('format = "otlp"\n[fields]\naccount_id = "tenant.id"\n[constants]\nchannel = "direct"\n')
    (batch,) = open_log(log, mapping=mapping).batches(list)
    assert batch.column("account_id").to_pylist() == ["acme"] and batch.column("channel").to_pylist() == ["direct"]
    assert batch.column("model").to_pylist() == ["m-1"]


def test_a_field_that_a_table_lacks_is_refused_with_those_it_has(tmp_path: Path) -> None:
    file = tmp_path / "x.csv"
    file.write_text("who,when\na,2026-03-01\n")
    mapping = tmp_path / "m.toml"
    mapping.write_text('format = "csv_map"\n[fields]\naccount_id = "user"\nts = "when"\n')
    with pytest.raises(MappingError, match=r"no column 'user'.*who, when"):
        list(open_log(file, mapping=mapping).batches(list))


def test_a_row_without_an_id_gets_one_that_stays_when_the_log_moves(tmp_path: Path) -> None:
    ids = []
    mapping = tmp_path / "m.toml"
    mapping.write_text('format = "jsonl_map"\n[fields]\naccount_id = "a"\nts = "t"\nexchange_id = "id"\n')
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        file = tmp_path / folder / "x.ndjson"
        file.write_text(
            '{"a": 1, "t": 1772359200}\n{"a": 1, "t": 1772359200, "id": "own"}\n{"a": 2, "t": 1772359200}\n'
        )
        ids.append(
            [i for b in open_log(file, mapping=mapping).batches(list) for i in b.column("exchange_id").to_pylist()]
        )
    assert ids[0] == ids[1] and ids[0][1] == "own" and len(set(ids[0])) == 3


@pytest.mark.parametrize(
    ("name", "file", "rows", "accounts"),
    [
        ("review_ring", "coord_elastic_anonreviews", 578_805, 400_141),
        ("retweets", "coord_russian_retweets", 35_125, None),
        ("ragpulse", "trace_ragpulse", 7_106, None),
        ("claude_code", "trace_claude_code_sessions", 49_334, 710),
        ("mooncake", "trace_mooncake", 16_024, 2),
    ],
)
def test_the_examples_read_the_real_data_they_are_for(name: str, file: str, rows: int, accounts: int | None) -> None:
    data = DATA / f"{file}.parquet"
    if not data.exists():
        pytest.skip(f"the public data set {file} is not beside the checkout")
    rejected: list[Rejected] = []
    seen: set[str] = set()
    read = 0
    for batch in open_log(data, mapping=ROOT / "examples" / f"{name}.toml").batches(rejected.extend):
        read += batch.num_rows
        seen |= set(batch.column("account_id").unique().to_pylist())
    assert (read, rejected) == (rows, [])
    assert accounts is None or len(seen) == accounts


def test_a_trace_without_users_is_refused_until_a_map_names_the_account(tmp_path: Path) -> None:
    data = DATA / "trace_mooncake.parquet"
    if not data.exists():
        pytest.skip("the public data set trace_mooncake is not beside the checkout")
    text = (ROOT / "examples" / "mooncake.toml").read_text()
    mapping = tmp_path / "m.toml"
    mapping.write_text("".join(line for line in text.splitlines(True) if not line.startswith("account_id")))
    with pytest.raises(MappingError, match="nothing is mapped to `account_id`"):
        open_log(data, mapping=mapping)
    with pytest.raises(MappingError, match="account_id"):
        open_log(data)


def test_the_ring_of_the_review_data_is_still_there_after_mapping() -> None:
    data = DATA / "coord_elastic_anonreviews.parquet"
    if not data.exists():
        pytest.skip("the public data set coord_elastic_anonreviews is not beside the checkout")
    import pyarrow.parquet as pq

    labelled = pq.read_table(data, columns=["reviewerId", "ring"])
    ring = {str(a) for a in labelled.filter(labelled["ring"])["reviewerId"].unique().to_pylist()}
    log = open_log(data, mapping=ROOT / "examples" / "review_ring.toml")
    prompts: dict[str, set[int]] = {}
    for batch in log.batches(list):
        for account, prompt in zip(*(batch.column(c).to_pylist() for c in ("account_id", "prompt_id")), strict=True):
            if account in ring:
                prompts.setdefault(account, set()).add(prompt)
    assert len(prompts) == 10 and len(set.intersection(*prompts.values())) > 0


def test_a_line_of_the_template_is_read_by_the_template(tmp_path: Path) -> None:
    file = tmp_path / "x.ndjson"
    line = {
        "when": "2026-03-01T10:00:00Z",
        "customer": {"id": "acme"},
        "llm": {"usage": {"in": 1}},
        "body": {"messages": []},
    }
    file.write_text(json.dumps(line) + "\n")
    (batch,) = open_log(file, mapping=ROOT / "examples" / "custom_gateway.toml").batches(list)
    assert batch.to_pylist()[0]["messages"] == '{"messages":[]}' and batch.to_pylist()[0]["channel"] == "direct"


def test_a_folder_in_place_of_a_map_is_called_a_folder(tmp_path: Path) -> None:
    with pytest.raises(MappingError, match="is a folder, not a file") as error:
        load_map(tmp_path, ["csv_map"])
    assert "Error" not in error.value.fix and "nginx" in error.value.fix
