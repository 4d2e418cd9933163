"""An unknown log: its keys are listed without a value, and the first map that is printed reads the log."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from clonewatch.adapters.reading import open_log
from clonewatch.adapters.starter_map import guesses, starter
from clonewatch.adapters.survey import survey
from clonewatch.cli.main import app

ROWS = 60
START = 1_772_359_200
SECRETS = ("ann.lee", "Tell me about", "203.0.113.7", "cust-4711")


def person(i: int) -> str:
    return f"cust-4711-{i % 9}"


def prompt(i: int) -> str:
    return f"Tell me about river number {i} and where it comes from"


def nested(folder: Path) -> Path:
    """A gateway's JSON lines: camel case, objects in objects, the body as text."""
    rows = [
        {
            "requestId": f"r-{i:08d}", "event": {"receivedAt": f"2026-03-01T10:{i % 60:02d}:00Z"},
            "customer": {"id": person(i), "mail": "ann.lee@example.org"}, "net": {"remoteAddr": "203.0.113.7"},
            "body": json.dumps(
                {"model": "m-1", "temperature": 1, "messages": [{"role": "user", "content": prompt(i)}]}
            ),
            "usage": {"prompt_tokens": 12, "completion_tokens": 7}, "httpStatus": 200,
        }
        for i in range(ROWS)
    ]  # fmt: skip
    path = folder / "gateway.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def milliseconds(folder: Path) -> Path:
    """One JSON array, times in milliseconds, names in snake case, no id of the request."""
    rows = [
        {"when": 1000 * (START + i), "tenant_id": i % 5, "ip": "203.0.113.7", "engine": "m-2", "prompt": prompt(i)}
        for i in range(ROWS)
    ]
    path = folder / "export.json"
    path.write_text(json.dumps(rows, indent=2), encoding="utf-8")
    return path


def semicolons(folder: Path) -> Path:
    """CSV of another country's spreadsheet."""
    path = folder / "usage.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter=";")
        writer.writerow(["Request ID", "Date", "Account", "Model name", "Tokens in", "Client IP", "Comment"])
        for i in range(ROWS):
            writer.writerow([f"q{i}", f"2026-03-01 10:{i:02d}:00", person(i), "m-3", 9, "203.0.113.7", "ann.lee"])
    return path


def columns(folder: Path) -> Path:
    """Parquet with structs."""
    path = folder / "part-0.parquet"
    rows = [
        {
            "id": f"p{i}", "created_at": START + i, "project": {"id": person(i), "owner": "ann.lee@example.org"},
            "client": {"ip": "203.0.113.7", "user_agent": "sdk/1.0"}, "prompt": prompt(i),
            "tags": ["a"],
        }
        for i in range(ROWS)
    ]  # fmt: skip
    pq.write_table(pa.Table.from_pylist(rows), path)
    return path


LOGS: dict[Callable[[Path], Path], dict[str, str]] = {
    nested: {
        "exchange_id": "requestId", "ts": "event.receivedAt", "account_id": "customer.id", "model": "body.model",
        "client_ip": "net.remoteAddr", "messages": "body.messages", "input_tokens": "usage.prompt_tokens",
        "output_tokens": "usage.completion_tokens", "status": "httpStatus", "temperature": "body.temperature",
    },
    milliseconds: {
        "ts": "when", "account_id": "tenant_id", "client_ip": "ip", "model": "engine", "messages": "prompt",
    },
    semicolons: {
        "exchange_id": "Request ID", "ts": "Date", "account_id": "Account", "model": "Model name",
        "input_tokens": "Tokens in", "client_ip": "Client IP",
    },
    columns: {
        "exchange_id": "id", "ts": "created_at", "account_id": "project.id", "client_ip": "client.ip",
        "user_agent": "client.user_agent", "messages": "prompt",
    },
}  # fmt: skip


def doctor(*arguments: object) -> Any:
    return CliRunner().invoke(app, ["doctor", *map(str, arguments)])


@pytest.mark.parametrize("make", LOGS, ids=lambda make: make.__name__)
def test_the_map_that_is_printed_reads_the_log(make: Callable[[Path], Path], tmp_path: Path) -> None:
    log = make(tmp_path)
    told = doctor(log)
    assert told.exit_code == 2
    toml = told.stdout[told.stdout.index("# A first map") :]
    (tmp_path / "map.toml").write_text(toml, encoding="utf-8")
    held = doctor(log, "--map", tmp_path / "map.toml", "--json")
    assert held.exit_code == 0, held.stderr
    found = json.loads(held.stdout)
    assert found["rows"] == ROWS and found["rejected"] == 0
    assert json.loads(doctor(log, "--json").stdout)["guessed"] == LOGS[make]
    batch = next(open_log(log, mapping=tmp_path / "map.toml").batches(list))
    assert set(LOGS[make]) - {"exchange_id"} <= {n for n in batch.schema.names if batch[n].null_count == 0}


@pytest.mark.parametrize("make", LOGS, ids=lambda make: make.__name__)
@pytest.mark.parametrize("as_json", [False, True])
def test_no_value_of_a_log_is_printed(make: Callable[[Path], Path], as_json: bool, tmp_path: Path) -> None:
    told = doctor(make(tmp_path), *(["--json"] if as_json else []))
    assert "9" in told.stdout
    assert [secret for secret in SECRETS if secret in told.stdout + told.stderr] == []


def test_a_key_that_is_data_shows_only_its_shape_and_is_not_mapped(tmp_path: Path) -> None:
    rows = [{"time": START + i, "by": {"ann.lee@example.org": 1}, "user": {"12345678": "x"}} for i in range(ROWS)]
    (tmp_path / "log.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    told = doctor(tmp_path / "log.jsonl")
    assert "ann.lee" not in told.stdout and "12345678" not in told.stdout
    assert '# account_id = ""  # required' in told.stdout and 'ts = "time"' in told.stdout


def test_ids_of_other_things_are_not_taken_for_the_request(tmp_path: Path) -> None:
    rows = [{"time": START + i, "model": {"id": f"m{i}"}, "account": "a", "trace": i} for i in range(ROWS)]
    (tmp_path / "log.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = survey([tmp_path / "log.jsonl"])
    assert found is not None
    told = guesses(found)
    assert {guess.column: guess.path for guess in told} == {"ts": "time", "account_id": "account", "model": "model.id"}
    assert "exchange_id" in starter(found, told)


def test_csv_of_a_gateway_is_told_in_kinds_and_ends_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "mylog.csv").write_text(
        "when,customer,route,tokens\n2026-05-04T09:12:03Z,acme,small-1,812\n2026-05-04T09:12:41Z,birch,large-1,0.5\n"
    )
    told = doctor(tmp_path / "mylog.csv")
    assert 'model = "route"' in told.stdout and "whole number, number" in told.stdout and " time " in told.stdout
    assert "a field map is needed" in told.stderr and "Save the map above as map.toml" in told.stderr
    assert told.exit_code == 2


def test_a_route_that_is_a_path_is_no_model(tmp_path: Path) -> None:
    rows = [{"time": START + i, "account": "a", "route": "/v1/chat/completions"} for i in range(ROWS)]
    (tmp_path / "log.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert "model" not in json.loads(doctor(tmp_path / "log.jsonl", "--json").stdout)["guessed"]


def test_a_field_that_names_nobody_is_no_account_and_the_message_says_so(tmp_path: Path) -> None:
    call = {"request": {"model": "m", "messages": []}, "response": {"object": "chat.completion", "choices": []}}
    rows = [call | {"ts": START + i, "account_id": "anonymous", "api_key_id": f"key-{i % 2}"} for i in range(ROWS)]
    (tmp_path / "log.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    told = doctor(tmp_path / "log.jsonl")
    assert '# account_id = ""  # required' in told.stdout and 'api_key_id = "api_key_id"' in told.stdout
    assert "anonymous" in told.stderr and told.exit_code == 2
    scan = CliRunner().invoke(app, ["scan", str(tmp_path / "log.jsonl"), "--out", str(tmp_path / "o")])
    assert "map the id of the key" in scan.stderr and scan.exit_code == 2


def test_what_is_no_log_at_all_is_refused_as_before(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("Remember the milk\nand the bread\n")
    told = doctor(tmp_path / "notes.txt")
    assert told.exit_code == 2 and told.stdout == "" and "unknown format" in told.stderr
    assert "no such file" in doctor(tmp_path / "nowhere").stderr
