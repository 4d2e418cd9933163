"""Every format in JSON that is read from a file is read the same when it is pushed."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from tests.unit.live_stand import serving, settings

from clonewatch.adapters.mapping import presets
from clonewatch.adapters.reading import open_log
from clonewatch.live import spool

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "adapters"
SAMPLES = sorted(path for path in GOLDEN.iterdir() if path.suffixes in ([".ndjson"], [".json"]))


def read(path: Path, form: str, mapping: Path | None) -> list[dict[str, Any]]:
    """The exchanges of a file, each without what it lacks."""
    log = open_log(path, format="auto" if mapping else form, mapping=mapping)
    rows = [row for batch in log.batches(lambda _: None) for row in batch.to_pylist()]
    return [{name: one for name, one in row.items() if one is not None and not is_made(name, one)} for row in rows]


def is_made(name: str, value: object) -> bool:
    """Whether it is an id that a row did not have: of a file and a line, or of a body and a line."""
    return name == "exchange_id" and re.fullmatch(r"[0-9a-f]{16}-\d+(-\d+)?", str(value)) is not None


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: path.name)
def test_a_pushed_batch_is_read_as_the_file_is(sample: Path, tmp_path: Path) -> None:
    name = sample.stem
    mapping = GOLDEN / "jsonl_map.toml" if name == "jsonl_map" else Path(name) if name in presets() else None
    query = f"?map={name}" if mapping else ""
    maps = {"jsonl_map": str(mapping)} if name == "jsonl_map" else {}
    with serving(settings(tmp_path, maps=maps)) as service:
        answer = service.post(f"/v1/exchanges{query}", sample.read_bytes())
        assert answer.status_code == 200, answer.text
        service.spool.seal(everything=True)  # type: ignore[call-arg]
        [segment] = spool.sealed(service.spool.place)
    form = spool.stream_of(segment).partition("@")[0]
    wanted = read(sample, "auto", mapping)
    assert wanted and read(segment, form, mapping) == wanted
    assert answer.json()["rejected"] == 0
