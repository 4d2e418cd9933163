"""Accounts that take turns: a queue of fixed size makes their volumes anticorrelated."""

import numpy as np
import pyarrow as pa

from clonewatch.ports.behaviour import BehaviouralTest, Dealing
from clonewatch.ports.engine import Fold
from clonewatch.ports.signal import Card, Signal

_BINS_A_DAY, _HOURS = 144, 24
_FEWEST_BINS = 720  # five days of ten-minute bins: in an event of two days, the fit of the rhythm removes everything
_LEAST_MEAN = 1.0  # exchanges per bin: below it there is nothing to balance


def turns(bins: pa.Table, sizes: pa.Table) -> pa.Table:
    """Residual covariance between entities after removing day and hour, with its sign reversed.

    bins: cluster, bin (ten minutes), n, n2 (sum over entities of squared counts). sizes: cluster, n2 over the slice. A
    value of 1 is a closed loop of fixed size, 0 independent accounts; it is negative where volumes rise and fall
    together. Splitting an open-loop Poisson stream leaves independent streams, so turn-taking only shows where the
    operator keeps concurrency fixed.
    """
    squares = dict(zip(sizes["cluster"].to_pylist(), sizes["n2"].to_pylist(), strict=True))
    out: dict[str, list[float]] = {"cluster": [], "value": [], "error": [], "n": []}
    cluster, place, n, n2 = (bins[c].to_numpy().astype(np.float64) for c in ("cluster", "bin", "n", "n2"))
    order = np.lexsort((place, cluster))
    for rows in np.split(order, np.flatnonzero(np.diff(cluster[order])) + 1) if len(order) else []:
        first, last = place[rows].min(), place[rows].max()
        span = int(last - first + 1)
        total = n[rows].sum()
        if span < _FEWEST_BINS or total < _LEAST_MEAN * span:
            continue
        counts = np.zeros(span)
        counts[(place[rows] - first).astype(int)] = n[rows]
        expected = _rhythm(counts, int(first))
        apart = n2[rows].sum() - squares[int(cluster[rows[0]])] * ((expected / total) ** 2).sum()
        # Level and time of day were fitted to the same bins: this corrects for the variation that the fit removed.
        fitted = _HOURS + 2 * span / _BINS_A_DAY
        together = ((counts - expected) ** 2).sum() / (1 - fitted / span)
        if apart <= 0:
            continue
        out["cluster"].append(int(cluster[rows[0]]))
        out["value"].append(float(1 - together / apart))
        out["error"].append(float(np.sqrt(2 / span)))
        out["n"].append(span)
    schema = pa.schema([("cluster", pa.int32()), ("value", pa.float64()), ("error", pa.float64()), ("n", pa.int64())])
    return pa.table(out, schema=schema)


def _rhythm(counts: np.ndarray, first: int) -> np.ndarray:
    """Expected count of each bin, from the level of the surrounding hours and the time of day."""
    window = _BINS_A_DAY // 2
    padded = np.pad(counts, window, mode="reflect") if len(counts) > window else np.pad(counts, window, mode="edge")
    level = np.convolve(padded, np.ones(2 * window + 1) / (2 * window + 1), mode="valid")
    hour = ((np.arange(len(counts)) + first) % _BINS_A_DAY) // (_BINS_A_DAY // _HOURS)
    profile = np.bincount(hour, counts, _HOURS) / np.maximum(np.bincount(hour, level, _HOURS), 1e-9)
    expected = level * profile[hour]
    return np.asarray(expected * counts.sum() / max(expected.sum(), 1e-9))


TEST = BehaviouralTest(
    Signal(
        "anticorrelation",
        "behaviour",
        Card(
            title="Accounts take turns",
            family="pacing",
            catches="a fixed number of workers sharing one queue",
            misses="an open loop: splitting a random stream leaves independent streams",
            innocent="a job queue of one tenant",
            excluded_by="declared organisations count as one entity",
        ),
        needs=(("exchanges.ts",),),
        suggests=(("benchmark_or_monitor", 0.7),),
    ),
    steps=(Fold("behaviour_anticorrelation", ("slice_bins", "slice_sizes"), turns, 20_000_000),),
    usual=-0.2,
    spread=0.15,
    effect=0.35,
    says="The accounts take turns: {value:.0%} of the variation that independent accounts would show"
    " cancels out ({n:,} ten-minute bins).",
    least=720,
    deceptive=True,
    dealing=Dealing.MACHINE,
    confounded=True,
)
