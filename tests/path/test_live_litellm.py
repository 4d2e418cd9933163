"""LiteLLM's own generic API callback pushes into a service, in each of its three formats."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from tests.path.live_process import Process
from tests.unit.live_stand import held

REAL = os.environ.get("REAL_PYTHON", "")
SCRIPT = Path(__file__).parents[1] / "real" / "pushing.py"


@pytest.mark.skipif(not REAL, reason="REAL_PYTHON names no Python that has LiteLLM: tests/real/measure.py does")
def test_litellm_pushes_in_each_of_its_formats(tmp_path: Path) -> None:
    more = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_TELEMETRY": "False"}
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | more
    with Process(tmp_path, "[bounds]\nseal_seconds = 0.3\n") as process:
        for form in ("json_array", "ndjson", "single"):
            words = [REAL, str(SCRIPT), f"{process.url}/v1/litellm", process.key, form]
            done = subprocess.run(words, env=env, capture_output=True, text=True, timeout=120)
            assert done.returncode == 0, done.stderr[-2000:]
        process.wait(lambda: process.figure("taken_exchanges_total") >= 9, "the payloads do not come in")
        rows = held(tmp_path / "state")
        assert len(rows) == 9 and len({row["account"] for row in rows}) == 3
        assert all(row["prompt"] is not None for row in rows)
        assert process.figure("taken_rejected_total") == 0
