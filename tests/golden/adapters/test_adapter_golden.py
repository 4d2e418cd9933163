"""Sample logs of every text format, and the exchanges they are to give.

`CLONEWATCH_GOLDEN=write pytest tests/golden/adapters` rewrites the expectations; read the difference before keeping it.
"""

import json
import os
from pathlib import Path

import pytest

from clonewatch.adapters.mapping import presets
from clonewatch.adapters.reading import open_log
from clonewatch.model.read_results import Rejected

HERE = Path(__file__).parent
SAMPLES = sorted(p for p in HERE.iterdir() if p.suffix in (".ndjson", ".json", ".csv") and ".expected" not in p.name)


def field_map(sample: Path) -> Path | None:
    beside = sample.with_suffix(".toml")
    return beside if beside.exists() else Path(sample.stem) if sample.stem in presets() else None


def plain(row: dict[str, object]) -> dict[str, object]:
    return {k: v.isoformat() if hasattr(v, "isoformat") else v for k, v in row.items() if v is not None}


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda p: p.name)
def test_a_sample_log_gives_the_exchanges_that_were_agreed(sample: Path) -> None:
    rejected: list[Rejected] = []
    log = open_log(sample, mapping=field_map(sample))
    made = {
        "format": log.formats,
        "exchanges": [plain(row) for batch in log.batches(rejected.extend) for row in batch.to_pylist()],
        "rejected": [[r.line, r.reason] for r in rejected],
        "warnings": [w.replace(str(HERE), "") for w in log.warnings],
    }
    expected = HERE / f"{sample.name}.expected.json"
    if os.environ.get("CLONEWATCH_GOLDEN") == "write":
        expected.write_text(json.dumps(made, indent=1, sort_keys=True) + "\n")
    assert made == json.loads(expected.read_text())


def test_every_expectation_has_its_sample() -> None:
    orphans = [
        p.name for p in HERE.glob("*.expected.json") if not (HERE / p.name.removesuffix(".expected.json")).exists()
    ]
    assert orphans == []
