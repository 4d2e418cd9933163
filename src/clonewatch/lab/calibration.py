"""Compares the honest part of a simulated log with figures measured on public traces.

``python -m clonewatch.lab.calibration LOG`` writes the table as Markdown. The measured figures come from ServeGen
(Apache-2.0), RAGPulse (MIT), Azure LLM inference traces, WildChat and ShareGPT samples, and coding-agent sessions of
kv-cache-tester (Apache-2.0); each line names its source.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from clonewatch.model.errors import InputError

_COLUMNS = (
    "account_id",
    "session_id",
    "ts",
    "turn",
    "prompt_id",
    "input_tokens",
    "output_tokens",
    "country",
    "status",
)
_MINUTE = 60_000_000
_LEAST = 50  # minimum requests in a ten-minute window for its CV, as in the source
_US_ZONE = 6  # hours by which the simulated United States are behind UTC


class Line(NamedTuple):
    """One figure: its name, the measured value with its source, and the simulated value."""

    what: str
    measured: str
    source: str
    simulated: str


def compare(log: Path) -> list[Line]:
    """All figures of one log folder (written without text). Raises InputError when it has no labels."""
    return [
        *_people(_of(log, "benign", business=False)),
        *_agents(_of(log, "coding_agent")),
        *_tenants(_of(log, "benign", business=True)),
    ]


def markdown(lines: list[Line]) -> str:
    """The figures as a table."""
    rows = [f"| {x.what} | {x.measured} | {x.source} | {x.simulated} |" for x in lines]
    return "\n".join(["| figure | measured | source | simulated |", "|---|---|---|---|", *rows]) + "\n"


def _of(log: Path, role: str, business: bool | None = None) -> pa.Table:
    """Exchanges of honest accounts of a role. business: True for firms only, False for people only."""
    path = log / "labels" / "accounts.parquet"
    if not path.is_file():
        raise InputError("no labels", where=str(log), fix="Give a folder written by a simulation.")
    labels, accounts = pq.read_table(path), pq.read_table(log / "accounts.parquet", columns=["plan"])
    keep = pc.equal(labels["role"], role)
    if business is not None:
        firm = pc.equal(accounts["plan"], "business")
        keep = pc.and_(keep, firm if business else pc.invert(firm))
    ids = labels["account_id"].filter(keep).combine_chunks()
    table = pq.read_table(log / "exchanges", columns=list(_COLUMNS))
    return table.filter(pc.is_in(table["account_id"], value_set=ids))


def _people(table: pa.Table) -> list[Line]:
    sizes, gaps, _ = _sessions(table)
    opening = table.filter(pc.equal(table["turn"], 0))
    minute = table["ts"].cast(pa.int64()).to_numpy() // _MINUTE
    day = (minute // 1440 - minute.min() // 1440) % 7
    weekend = np.isin(day, (3, 4)).sum() / 2 / (np.isin(day, (0, 1, 2, 5, 6)).sum() / 5)
    local = pc.equal(table["country"], "US").to_numpy()
    hours = np.bincount((minute[local] // 60 - _US_ZONE) % 24, minlength=24)
    good = pc.equal(table["status"], 200).to_numpy()
    return [
        Line(
            "requests per session: mean, single",
            "1.78, 59 %; 2.35, 58 %",
            "RAGPulse; WildChat",
            f"{sizes.mean():.2f}, {100 * (sizes == 1).mean():.0f} %",
        ),
        Line("seconds between turns, 25/50/75/90 %", "23/40/89/300", "RAGPulse", _quantiles(gaps, (25, 50, 75, 90))),
        Line(
            "busiest and quietest hour relative to the mean",
            "1.66, .07",
            "RAGPulse (one zone)",
            f"{hours.max() / hours.mean():.2f}, {hours.min() / hours.mean():.2f} (US)",
        ),
        Line("a weekend day relative to a weekday", ".78", "RAGPulse", f"{weekend:.2f}"),
        Line(
            "openings that repeat another word for word",
            "0.6 to 10 % (4.5 %)",
            "seven human prompt sets (ShareGPT)",
            f"{100 * _repeats(opening):.1f} %",
        ),
        Line("all turns that repeat another", "3.8 %", "ShareGPT", f"{100 * _repeats(table):.1f} %"),
        Line(
            "input tokens, 5/50/95 %",
            "181/1020/4083",
            "Azure conversation",
            _quantiles(table["input_tokens"].to_numpy(), (5, 50, 95)),
        ),
        Line(
            "output tokens, 5/50/95 %",
            "41/129/451",
            "Azure conversation",
            _quantiles(table["output_tokens"].to_numpy()[good], (5, 50, 95)),
        ),
    ]


def _agents(table: pa.Table) -> list[Line]:
    sizes, gaps, run = _sessions(table)
    variation = [float(g.std() / g.mean()) for g in np.split(gaps, np.flatnonzero(np.diff(run)) + 1) if len(g) >= 19]
    return [
        Line(
            "agent: requests per session, 25/50/75/95 %",
            "17/44/90/208",
            "coding-agent sessions",
            _quantiles(sizes, (25, 50, 75, 95)),
        ),
        Line(
            "agent: seconds between requests, 25/50/75/95 %",
            "11/17/38/291",
            "coding-agent sessions",
            _quantiles(gaps, (25, 50, 75, 95)),
        ),
        Line(
            "agent: CV of gaps within a session, median",
            "2.8",
            "coding-agent sessions",
            f"{np.median(variation):.1f}" if variation else "none",
        ),
        Line(
            "agent: output tokens, 5/50/95 %",
            "88/217/1496",
            "coding-agent sessions",
            _quantiles(table["output_tokens"].to_numpy(), (5, 50, 95)),
        ),
    ]


def _tenants(table: pa.Table) -> list[Line]:
    """Firms. They send far fewer requests than the published tenants, so CVs are of the busiest firms and days only."""
    account = table["account_id"].combine_chunks().dictionary_encode().indices.to_numpy()
    ts = table["ts"].cast(pa.int64()).to_numpy()
    counts = np.sort(np.bincount(account)).astype(float)
    gini = float((2 * np.arange(1, len(counts) + 1) - len(counts) - 1) @ counts / (len(counts) * counts.sum()))
    first, last = ts.min() // (10 * _MINUTE), ts.max() // (10 * _MINUTE)
    active = np.unique(account.astype(np.int64) * (1 << 40) + ts // (10 * _MINUTE)) >> 40
    duty = np.bincount(active) / (last - first + 1)
    variation, flat = [], []
    for one in range(len(counts)):
        own = np.sort(ts[account == one])
        daily = np.bincount(own // (60 * _MINUTE) % 24, minlength=24)
        if len(own) >= 24 * _LEAST:
            flat.append(daily.max() / daily.mean() < 1.3)
            for day in np.split(own, np.flatnonzero(np.diff(own // (1440 * _MINUTE))) + 1):
                if len(day) > _LEAST:
                    variation.append(float(np.diff(day).std() / np.diff(day).mean()))
    return [
        Line("firm: Gini of volume", ".83 to .87", "ServeGen", f"{gini:.2f}"),
        Line(
            "firm: CV of gaps, median",
            "1.03 to 1.32 (10-min windows)",
            "ServeGen",
            f"{np.median(variation):.2f} (days)" if variation else "none",
        ),
        Line(
            "firm: active share of 10-min windows, median", "7, 28, 41 %", "ServeGen", f"{100 * np.median(duty):.1f} %"
        ),
        Line(
            "firm: share without a daily rhythm",
            "8 to 24 %",
            "ServeGen",
            f"{100 * np.mean(flat):.0f} % of {len(flat)}" if flat else "none",
        ),
    ]


def _sessions(table: pa.Table) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Session sizes; gaps in seconds within sessions, and the session of each gap."""
    session = table["session_id"].combine_chunks().dictionary_encode().indices.to_numpy()
    ts = table["ts"].cast(pa.int64()).to_numpy()
    order = np.lexsort((ts, session))
    session, ts = session[order], ts[order]
    same = session[1:] == session[:-1]
    return np.bincount(session), np.diff(ts)[same] / 1e6, session[1:][same]


def _repeats(table: pa.Table) -> float:
    """Share of rows whose prompt was sent before."""
    return 1.0 - len(table["prompt_id"].unique()) / len(table)


def _quantiles(values: NDArray[Any], at: tuple[int, ...]) -> str:
    return "/".join(f"{v:.0f}" for v in np.percentile(values, at)) if len(values) else "none"


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m clonewatch.lab.calibration LOG")
    sys.stdout.write(markdown(compare(Path(sys.argv[1]))))
