"""Logs as real software writes them, and what the command line says of them, for the tests of odd logs."""

import json
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from clonewatch.adapters.reading import open_log
from clonewatch.cli.main import app
from clonewatch.model.read_results import Rejected

Row = dict[str, Any]
MAP = Path("map.toml")
RUNNER = CliRunner()


def call(i: int = 0, **facts: object) -> Row:
    """A logged OpenAI-style call, as the page of formats shows it."""
    return {
        "ts": 1772359200 + i,
        "account_id": f"a-{i}",
        "status": 200,
        "request": {"model": "m", "messages": [{"role": "user", "content": f"hello {i}"}]},
        "response": {"id": f"chatcmpl-{i}", "object": "chat.completion", "choices": [{"finish_reason": "stop"}]},
    } | facts


def lines(*rows: Row) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def read(path: Path, mapping: Path | None = None) -> tuple[list[Row], list[Rejected]]:
    """The exchanges of a log without their empty columns, and the rejected rows."""
    rejected: list[Rejected] = []
    batches = open_log(path, mapping=mapping).batches(rejected.extend)
    return [{k: v for k, v in row.items() if v is not None} for b in batches for row in b.to_pylist()], rejected


def mapped(folder: Path, fields: str, form: str = "csv_map") -> Path:
    file = folder / MAP
    file.write_text(f'format = "{form}"\n[fields]\n{fields}\n')
    return file


def doctor(*arguments: object) -> Row:
    """What `clonewatch doctor --json` says."""
    done = RUNNER.invoke(app, ["doctor", "--json", *map(str, arguments)])
    assert done.exit_code == 0, done.output
    answer: Row = json.loads(done.stdout)
    return answer


def scanned(log: Path, out: Path, code: int = 0) -> tuple[Row, str]:
    """The summary of a scan, and what the terminal said."""
    done = RUNNER.invoke(app, ["scan", str(log), "--out", str(out), "--quiet", "--key", str(out) + ".key"])
    assert done.exit_code == code, done.output
    summary: Row = json.loads((out / "scan.json").read_text())
    return summary, done.output


def span(mark: str, *attributes: tuple[str, str]) -> Row:
    """A span of one call, with these attributes beside its account, model and response id."""
    held = [("user.id", "acme"), ("gen_ai.request.model", "m"), ("gen_ai.response.id", "msg-1"), *attributes]
    return {
        "traceId": "5b8efff798038103d269b633813fc60c",
        "spanId": mark * 16,
        "name": "chat",
        "startTimeUnixNano": f"177235920{0 if mark == 'a' else 1}250000000",
        "endTimeUnixNano": "1772359205500000000",
        "attributes": [{"key": key, "value": {"stringValue": value}} for key, value in held],
    }


# A row of LiteLLM's spend table.
SPEND = {
    "request_id": "r-1", "call_type": "acompletion", "api_key": "ab12", "spend": 0.001, "prompt_tokens": 21,
    "startTime": "2026-03-01T10:00:00Z", "endTime": "2026-03-01T10:00:01Z", "user": "acme", "litellm_call_id": "l-1",
}  # fmt: skip
