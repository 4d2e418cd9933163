"""Whatever a model sends, reading it ends in answers that can be tested or in a reason."""

import base64
import hashlib
import json
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from clonewatch.audit import answers
from clonewatch.audit.tokenizing import Words

TOKENIZER = Words(["a", "b", "c"])
ODD = st.sampled_from(
    [float("nan"), float("inf"), -float("inf"), 10**400, -(10**400), 1e308, -1e308, True, "\ud800", ""]
)
LEAF = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | ODD
ANYTHING = st.recursive(
    LEAF,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)
WORD = st.sampled_from([" a", " b", " c", "a b", "\udfff"]) | ANYTHING
NUMBERS = st.lists(st.floats() | ANYTHING, max_size=4)
MOST = st.lists(
    st.dictionaries(st.sampled_from([" a", " b", "x", "\ud800"]), st.floats() | ANYTHING, max_size=3) | ANYTHING,
    max_size=4,
)
# Right in form and wrong in some value, which gets further than values of any form.
TOLD = st.fixed_dictionaries(
    {},
    optional={
        "tokens": st.lists(WORD, max_size=4) | ANYTHING,
        "text_offset": NUMBERS | ANYTHING,
        "token_logprobs": NUMBERS | ANYTHING,
        "top_logprobs": MOST | ANYTHING,
        "content": st.lists(
            st.fixed_dictionaries({"token": WORD}, optional={"top_logprobs": st.lists(ANYTHING, max_size=2) | ANYTHING})
            | ANYTHING,
            max_size=3,
        )
        | ANYTHING,
    },
)
CHOICE = st.fixed_dictionaries(
    {},
    optional={
        "index": ANYTHING,
        "text": st.sampled_from(["a b c", " a", "\ud800"]) | ANYTHING,
        "finish_reason": st.sampled_from(["stop", "length", "content_filter"]) | ANYTHING,
        "message": st.fixed_dictionaries({"content": st.just("a b") | ANYTHING}) | ANYTHING,
        "logprobs": TOLD | ANYTHING,
    },
)
BODY = st.fixed_dictionaries({"choices": st.lists(CHOICE | ANYTHING, max_size=5) | ANYTHING}) | ANYTHING
DATA = BODY.map(lambda told: json.dumps(told).encode()) | st.binary(max_size=80)


def raw(data: bytes) -> dict[str, Any]:
    """A response as `collect` stores it."""
    told = {
        "at": "",
        "attempt": 1,
        "problem": "",
        "replayed": False,
        "request": {"n": 3, "max_tokens": 8},
        "status": 200,
    }
    told["sha256"] = hashlib.sha256(data).hexdigest()
    try:
        return {**told, "body": data.decode("utf-8")}
    except UnicodeDecodeError:
        return {**told, "body64": base64.b64encode(data).decode("ascii")}


@given(DATA)
@settings(max_examples=200, deadline=None)
def test_a_response_ends_in_answers_that_can_be_tested_or_in_reasons(data: bytes) -> None:
    told = raw(data)
    assert answers.stored(told)
    read = answers.read(told)
    assert len(read.answers) <= 3
    for answer in read.answers:
        answer.text.encode("utf-8")
        assert answer.text.strip() and len(answer.text) <= 8 * 64
        ids = TOKENIZER.encode(answer.text)
        held = answers.likely(TOKENIZER, answer.tokens, answer.most, ids, 0)
        assert held is None or (np.isfinite(held.probability).all() and held.probability.max() <= 1)


@given(DATA)
@settings(max_examples=200, deadline=None)
def test_scores_are_finite_numbers_or_missing(data: bytes) -> None:
    for scored in answers.scored(raw(data), 1) or ():
        total = scored.between(0, 10)
        assert total is None or -1e9 < total <= 0.01
        held = answers.likely(TOKENIZER, scored.tokens, scored.most, [0, 1, 2], 0)
        assert held is None or np.isfinite(held.probability).all()


@given(
    st.dictionaries(
        st.sampled_from(["at", "attempt", "problem", "replayed", "request", "sha256", "status", "body", "body64", "x"]),
        ANYTHING,
    )
)
def test_a_stored_answer_of_any_other_form_is_none(told: dict[str, Any]) -> None:
    assert answers.stored(told) in {True, False}
