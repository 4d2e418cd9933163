"""Fingerprints do not change by accident: a change of any of these makes old and new logs incomparable.

When a change is meant, run this file with `CLONEWATCH_GOLDEN=write` in the environment and read the diff.
"""

import json
import os
from pathlib import Path

import pyarrow as pa
import pytest

from clonewatch.fingerprints.fingerprinting import Fingerprinter

HERE = Path(__file__).parent
EXACT = ("system_hash", "tools_hash", "template_id", "prompt_id", "format_hash", "cell", "task")


def test_fingerprints_are_as_they_were() -> None:
    exchanges = json.loads((HERE / "exchanges.json").read_text(encoding="utf-8"))
    batch = pa.record_batch({"messages": pa.array([json.dumps(e, ensure_ascii=False) for e in exchanges])})
    made = Fingerprinter(bytes(range(32))).apply(batch).to_pylist()
    if os.environ.get("CLONEWATCH_GOLDEN") == "write":
        text = json.dumps(made, indent=1, ensure_ascii=False)
        (HERE / "fingerprints.json").write_text(text + "\n", encoding="utf-8")
        pytest.skip("golden fingerprints written anew")
    kept = json.loads((HERE / "fingerprints.json").read_text(encoding="utf-8"))
    for exchange, got, expected in zip(exchanges, made, kept, strict=True):
        assert {n: got[n] for n in (*EXACT, "sketch")} == {n: expected[n] for n in (*EXACT, "sketch")}, exchange
        assert got["elicitation"] == pytest.approx(expected["elicitation"], abs=1e-3), exchange
