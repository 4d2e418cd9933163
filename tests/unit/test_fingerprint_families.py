"""Families of near-identical templates."""

import tracemalloc
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from clonewatch.engines.duckdb import DuckDB
from clonewatch.fingerprints.families import SLACK, THRESHOLD, merge
from clonewatch.kernels.sketching import resemblance
from clonewatch.pipeline.intake import staging

DRAW = np.random.default_rng(11)


def near(sketch: np.ndarray, share: float, draw: np.random.Generator = DRAW) -> np.ndarray:
    other = sketch.copy()
    changed = draw.permutation(64)[: round((1 - share) * 64)]
    other[changed] = draw.integers(1, 2**32, len(changed), dtype=np.uint32)
    return other


def fresh(rows: int) -> np.ndarray:
    return DRAW.integers(1, 2**32, (rows, 64), dtype=np.uint32)


def test_near_copies_are_merged_and_unrelated_templates_are_not() -> None:
    centres = fresh(50)
    sketches = np.vstack([near(c, 0.85) for c in centres for _ in range(10)])
    ids = DRAW.permutation(np.arange(1, 501, dtype=np.uint64))
    families = merge(ids, sketches)
    for k in range(50):
        members = slice(10 * k, 10 * k + 10)
        assert set(families[members].tolist()) == {ids[members].min()}


def test_the_order_of_rows_and_repeats_do_not_matter() -> None:
    sketches = np.vstack([near(c, 0.7) for c in fresh(20) for _ in range(8)])
    ids = DRAW.permutation(np.arange(1, 161, dtype=np.uint64))
    families = merge(ids, sketches)
    order = DRAW.permutation(160)
    assert (merge(ids[order], sketches[order]) == families[order]).all()
    assert (merge(np.tile(ids, 2), np.tile(sketches, (2, 1))) == np.tile(families, 2)).all()


def test_a_long_chain_of_small_steps_is_no_giant_family() -> None:
    chain = [fresh(1)[0]]
    for _ in range(300):
        chain.append(near(chain[-1], 0.9))
    sketches = np.array(chain)
    families = merge(np.arange(1, 302, dtype=np.uint64), sketches)
    sizes = np.unique(families, return_counts=True)[1]
    assert sizes.max() < 40
    assert resemblance(sketches[0], sketches[-1]) < 0.1


def test_every_member_resembles_a_centre_of_its_family() -> None:
    sketches = np.vstack([near(near(c, 0.75), 0.75) for c in fresh(30) for _ in range(12)])
    families = merge(np.arange(1, len(sketches) + 1, dtype=np.uint64), sketches)
    for family in np.unique(families):
        members = sketches[families == family]
        likeness = resemblance(members[:, None, :], members[None, :, :])
        assert likeness.min(axis=1).max() >= THRESHOLD - SLACK


def test_a_template_without_sketch_stays_itself_and_none_stays_none() -> None:
    sketches = np.zeros((3, 64), np.uint32)
    assert merge(np.array([9, 4, 0], np.uint64), sketches).tolist() == [9, 4, 0]


def test_one_sketched_row_of_a_template_is_enough() -> None:
    sketch = fresh(1)[0]
    rows = np.array([np.zeros(64, np.uint32), sketch, sketch])
    assert merge(np.array([5, 5, 3], np.uint64), rows).tolist() == [3, 3, 3]


def test_nothing_gives_nothing_and_unequal_lengths_are_refused() -> None:
    assert len(merge(np.zeros(0, np.uint64), np.zeros((0, 64), np.uint32))) == 0
    with pytest.raises(ValueError, match="2 templates but 1"):
        merge(np.ones(2, np.uint64), np.ones((1, 64), np.uint32))


def test_the_values_of_hashes_neither_lead_nor_name_a_family() -> None:
    """A chain in which the leader decides who belongs, under the hashes of one key and of another."""
    chain = [fresh(1)[0]]
    for _ in range(60):
        chain.append(near(chain[-1], 0.85))
    sketches = np.array(chain)
    ids = DRAW.integers(-(2**62), 2**62, (2, len(chain)))
    moved = [staging.families(one, sketches) for one in ids]
    number = [{value: i for i, value in enumerate(one.tolist())} for one in ids]
    told = [
        [(n[row["template"]], n[row["family"]]) for row in table.to_pylist()]
        for n, table in zip(number, moved, strict=True)
    ]
    assert told[0] == told[1] and len(told[0]) > 30
    assert all(family < template for template, family in told[0])


@pytest.mark.parametrize("block", [staging._BLOCK, 7000])
def test_sketches_kept_in_parts_are_merged_in_order_of_first_appearance_and_held_once(
    block: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(staging, "_BLOCK", block)
    sketches = np.vstack([near(c, 0.8) for c in fresh(4000) for _ in range(5)])
    templates = DRAW.permutation(np.arange(1, 20_001, dtype=np.int64))
    seen = DRAW.permutation(len(templates))[:19_000]  # the others are of rows that were merged into earlier ones
    stager, engine = staging.Stager(bytes(32)), DuckDB(threads=1, folder=tmp_path)
    for at in range(0, len(templates), 3000):
        stager.keep_sketches(templates[at : at + 3000], sketches[at : at + 3000].copy())
    rows = {"row": np.arange(19_000), "ts": np.arange(19_000), "template": templates[seen]}
    engine.put("arrivals", pa.table(rows))
    expected = staging.families(templates[seen], sketches[seen])
    held = tracked(lambda: np.concatenate([sketches]))
    assert held > 0.9 * sketches.nbytes  # what is counted is what numpy holds
    assert tracked(lambda: stager._in_order(templates, templates[seen])) < 1.3 * sketches.nbytes
    assert not stager._sketches
    for at in range(0, len(templates), 3000):
        stager.keep_sketches(templates[at : at + 3000], sketches[at : at + 3000])
    assert stager.families(engine).equals(expected) and expected.num_rows > 10_000
    engine.close()


def tracked(work):  # type: ignore[no-untyped-def]
    """Most bytes that were held at a time for this work."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
