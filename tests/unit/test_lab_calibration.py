"""Calibration: the comparison reads a log, and simulated sessions are like those of public traces."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from clonewatch.lab.calibration import compare, markdown
from clonewatch.lab.clocks import AGENT_THINK, Marathon, SessionClock
from clonewatch.lab.simulate import simulate
from clonewatch.model.errors import InputError

REAL = Path(__file__).resolve().parents[2].parent / "shared" / "data"


def gaps_between_turns(clock: SessionClock) -> tuple[np.ndarray, np.ndarray]:
    """Seconds between turns, and session lengths, of one simulated day."""
    beats = clock.beats(0, np.random.default_rng(0))
    same = beats.session[1:] == beats.session[:-1]
    return np.diff(beats.ts)[same] / 1e6, np.unique(beats.session, return_counts=True)[1]


def real(name: str) -> pa.Table:
    path = REAL / f"{name}.parquet"
    if not path.is_file():
        pytest.skip(f"needs the public trace {name}.parquet in ../shared/data beside the checkout")
    return pq.read_table(path)


def test_every_figure_has_a_measured_and_a_simulated_value(tmp_path: Path) -> None:
    simulate("quiet", tmp_path / "log", scale=0.2)
    lines = compare(tmp_path / "log")
    assert len(lines) >= 12 and all(any(c.isdigit() for c in line.measured) for line in lines)
    assert sum(any(c.isdigit() for c in line.simulated) for line in lines) >= len(lines) - 2
    assert markdown(lines).count("\n") == len(lines) + 2


def test_a_folder_without_labels_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no labels"):
        compare(tmp_path)


def test_think_time_of_people_is_like_that_of_ragpulse() -> None:
    trace = real("trace_ragpulse").sort_by([("session_id", "ascending"), ("ts_s", "ascending")])
    session = trace["session_id"].combine_chunks().dictionary_encode().indices.to_numpy()
    measured = np.diff(trace["ts_s"].to_numpy())[session[1:] == session[:-1]]
    gaps, sizes = gaps_between_turns(SessionClock(np.full(4000, 1.0), np.zeros(4000)))
    for at in (25, 50, 75):
        assert np.percentile(gaps, at) == pytest.approx(np.percentile(measured, at), rel=0.35), at
    single = np.mean(np.unique(session, return_counts=True)[1] == 1)
    assert np.mean(sizes == 1) == pytest.approx(single, abs=0.05)


def test_coding_sessions_are_like_recorded_ones() -> None:
    trace = real("trace_claude_code_sessions")
    main = trace.filter(pc.equal(trace["agent"].cast(pa.string()), "main"))
    name = main["trace"].cast(pa.string()).combine_chunks().dictionary_encode().indices.to_numpy()
    t = main["t"].to_numpy()
    order = np.lexsort((t, name))
    measured = np.diff(t[order])[np.diff(name[order]) == 0]
    gaps, _ = gaps_between_turns(SessionClock(np.full(300, 1.0), np.zeros(300), Marathon(), AGENT_THINK))
    assert np.median(gaps) == pytest.approx(np.median(measured), rel=0.4)
    assert gaps.std() / gaps.mean() > 1.5  # bursty, as people at work are
