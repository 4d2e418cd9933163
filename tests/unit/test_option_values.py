"""A value that an option cannot have is refused by name before anything is read, in Python and on the command line."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import clonewatch
from clonewatch.cli.main import app
from clonewatch.model.errors import SetupError
from clonewatch.model.option_values import check

WRONG: list[tuple[str, Any]] = [
    *(("seed", value) for value in ("a", 1.5, None, -1, 2**70, True)),
    *(("threads", value) for value in (0, -1, "2", 1.5, True)),
    *(("max_rejected", value) for value in ("x", None, float("nan"), 2, -0.1, True)),
    *(("memory", value) for value in ("lots", "1KB", "", "-2GB", 700, None)),
]


@pytest.mark.parametrize(("name", "value"), WRONG)
def test_a_wrong_value_is_refused_by_name_before_the_log_is_looked_at(name: str, value: Any, tmp_path: Path) -> None:
    with pytest.raises(SetupError, match=f"^{name} ") as refused:
        clonewatch.scan(tmp_path / "no such log", **{name: value})
    assert refused.value.fix


@pytest.mark.parametrize("values", [{}, {"seed": 7, "memory": "1.5 GiB", "threads": 2, "max_rejected": 1}])
def test_right_values_pass(values: dict[str, Any]) -> None:
    check(**values)


@pytest.mark.parametrize("command", ["scan", "detect", "ingest"])
def test_the_command_line_refuses_them_alike(command: str, tmp_path: Path) -> None:
    line = {
        "scan": ["scan", str(tmp_path), "--out", str(tmp_path / "out")],
        "detect": ["detect", "--state", str(tmp_path), "--out", str(tmp_path / "out")],
        "ingest": ["ingest", str(tmp_path), "--state", str(tmp_path / "state")],
    }[command]
    done = CliRunner().invoke(app, [*line, "--memory", "lots"])
    assert done.exit_code == 2 and "memory is not a size" in done.output


LIMITED = """
import resource, sys
resource.setrlimit(resource.RLIMIT_AS, (int(sys.argv.pop(1)) << 20,) * 2)
from clonewatch.cli.main import run
run()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="limits on addresses work as on Linux")
@pytest.mark.parametrize(("limit", "command"), [(600, "doctor"), (2500, "scan")])
def test_a_limit_on_memory_is_refused_with_what_is_needed(tmp_path: Path, limit: int, command: str) -> None:
    """A native library that is refused memory would end the process without a word."""
    (tmp_path / "log.ndjson").write_text("{}\n")
    line = [sys.executable, "-c", LIMITED, str(limit), command, str(tmp_path / "log.ndjson")]
    line += ["--out", str(tmp_path / "out")] if command == "scan" else []
    found = subprocess.run(line, capture_output=True, text=True, timeout=240, check=False)
    assert found.returncode == 2 and f"may use {limit:,} MB of addresses, and needs" in found.stderr, found.stderr
    assert "Fix:" in found.stderr and "Traceback" not in found.stderr
