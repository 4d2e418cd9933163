"""Rings whose accounts share sessions two by two, and nothing else: linking, apart from any harvest behaviour."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain, pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import clonewatch

HONEST, RINGS, SIZE, EXCHANGES = 900, 3, 40, 20
DAY = 86_400_000_000
START = 1_760_000_000_000_000
Ties = Callable[[np.random.Generator, list[str]], Iterator[tuple[str, str]]]


def in_a_row(_: np.random.Generator, ring: list[str]) -> Iterator[tuple[str, str]]:
    yield from pairwise(ring)


def in_small_cells(_: np.random.Generator, ring: list[str]) -> Iterator[tuple[str, str]]:
    """Cells of four that share everything; one account of each knows one of the next."""
    for at in range(0, len(ring), 4):
        cell = ring[at : at + 4]
        yield from pairwise([*cell, *ring[at + 4 : at + 5]])


def at_random(draw: np.random.Generator, ring: list[str]) -> Iterator[tuple[str, str]]:
    """On average three ties an account: nearly all are connected."""
    for _ in range(3 * len(ring) // 2):
        one, other = draw.choice(len(ring), 2, replace=False)
        yield ring[one], ring[other]


def log(folder: Path, ties: Ties, trusted: float) -> set[str]:
    """Write a log of honest accounts, some in households of two that share a session, and of rings; returns those."""
    draw = np.random.default_rng(11)
    honest = [f"h{i}" for i in range(HONEST)]
    rings = [[f"r{ring}-{i}" for i in range(SIZE)] for ring in range(RINGS)]
    own: dict[str, list[str]] = {account: [f"own-{account}"] for account in chain(honest, *rings)}
    shared = [*zip(honest[:100:2], honest[1:100:2], strict=True)]
    for ring in rings:
        shared += ties(draw, ring)
    for number, (one, other) in enumerate(shared):
        own[one].append(f"shared-{number}")
        own[other].append(f"shared-{number}")
    rows = [(account, str(draw.choice(sessions))) for account, sessions in own.items() for _ in range(EXCHANGES)]
    rows += [(account, session) for account, sessions in own.items() for session in sessions]
    (folder / "exchanges").mkdir(parents=True)
    exchanges = {
        "exchange_id": [f"x{i}" for i in range(len(rows))],
        "ts": pa.array(START + draw.integers(0, 30 * DAY, len(rows)), pa.timestamp("us", "UTC")),
        "account_id": [account for account, _ in rows],
        "session_id": [session for _, session in rows],
    }
    pq.write_table(pa.table(exchanges), folder / "exchanges" / "all.parquet")
    facts = {"account_id": list(own), "anchor": [a[0] == "h" and bool(draw.random() < trusted) for a in own]}
    pq.write_table(pa.table(facts), folder / "accounts.parquet")
    return set(chain(*rings))


@pytest.mark.parametrize(("ties", "least"), [(in_a_row, 1.0), (in_small_cells, 1.0), (at_random, 0.9)])
def test_a_ring_that_is_tied_two_by_two_is_reported_and_nobody_else_is(
    ties: Ties, least: float, tmp_path: Path
) -> None:
    ring = log(tmp_path / "log", ties, trusted=0.3)
    found = clonewatch.scan(tmp_path / "log", key=tmp_path / "key", threads=1)
    reported = set(found.members["account_id"].to_pylist())
    assert len(reported & ring) >= least * len(ring)
    assert reported <= ring
    assert not found.flagged.num_rows, "linked by one kind of thing, with no sign of a harvest"


def test_with_few_trusted_accounts_a_ring_of_forty_is_not_surprising_enough(tmp_path: Path) -> None:
    """A bound: n accounts show at most n log2(1 / (1 - share)) bits, here 40 times 0.15."""
    log(tmp_path / "log", in_a_row, trusted=0.11)
    found = clonewatch.scan(tmp_path / "log", key=tmp_path / "key", threads=1)
    assert not found.flagged.num_rows and not found.members.num_rows
