"""Bounds on real prompts, loose enough to hold on any machine; the figures are in docs/fingerprints-measured.md."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from clonewatch.fingerprints import families
from clonewatch.fingerprints.fingerprinting import Fingerprinter
from clonewatch.kernels.sketching import sketch_matrix

PROMPTS = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "prompts_human.parquet"
pytestmark = pytest.mark.skipif(not PROMPTS.exists(), reason="real prompts are not beside the checkout (shared/data)")


@pytest.fixture(scope="module")
def made() -> pa.RecordBatch:
    rows = pq.read_table(PROMPTS, columns=["source", "text"]).to_pylist()
    texts = dict.fromkeys(r["text"] for r in rows if r["source"].startswith(("arena-hard", "dolly")) and r["text"])
    messages = [json.dumps([{"role": "user", "content": text}]) for text in texts]
    return Fingerprinter(bytes(32)).apply(pa.record_batch({"messages": pa.array(messages)}))


def test_few_different_prompts_of_people_share_a_template(made: pa.RecordBatch) -> None:
    templates = made["template_id"].drop_null().to_numpy()
    sizes = np.unique(templates, return_counts=True)[1]
    assert sizes[sizes > 1].sum() / len(templates) < 0.04


def test_people_do_not_fall_into_one_giant_family(made: pa.RecordBatch) -> None:
    templates = made["template_id"].fill_null(0).to_numpy(zero_copy_only=False)
    family = families.merge(templates, sketch_matrix(made["sketch"]))
    sizes = np.unique(family[family != 0], return_counts=True)[1]
    assert sizes.max() / sizes.sum() < 0.05


def test_people_rarely_seem_to_demand_a_reasoning_trace(made: pa.RecordBatch) -> None:
    scores = made["elicitation"].drop_null().to_numpy()
    assert (scores >= 0.5).mean() < 0.02
