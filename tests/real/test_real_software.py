"""The comparison with real software, where its environment is there; the build runs it as a part of its own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PYTHON = Path(os.environ.get("REAL_PYTHON", ROOT / ".venv-real" / "bin" / "python"))


@pytest.mark.skipif(os.environ.get("CI") == "true", reason="real software: .ci/run compares it in a part of its own")
@pytest.mark.skipif(not PYTHON.exists(), reason=f"real software: not there: {PYTHON} (tests/real/requirements.txt)")
def test_every_field_of_real_logs_is_read_as_it_was_sent(tmp_path: Path) -> None:
    command = [sys.executable, "tests/real/measure.py", "--python", str(PYTHON), "--out", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600)
    if "NOT RUN" in done.stderr:
        pytest.skip(done.stderr.strip())
    assert done.returncode == 0, done.stdout + done.stderr
