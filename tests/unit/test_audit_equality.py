"""Model equality: one model against itself is not told apart, two models are."""

import numpy as np
import pytest

from clonewatch.audit import equality
from clonewatch.model.errors import InputError


def answers(seed: int, lean: float, count: int = 8) -> dict[str, list[str]]:
    """Ten prompts; letters drawn with a lean towards the first ones."""
    draw = np.random.default_rng(seed)
    chance = np.exp(-lean * np.arange(6))
    return {
        f"prompt {i}": ["".join(draw.choice(list("abcdef"), 40, p=chance / chance.sum())) for _ in range(count)]
        for i in range(10)
    }


def test_a_model_is_not_distinguished_from_itself() -> None:
    p = [equality.test_equality(answers(2 * i, 0.3), answers(2 * i + 1, 0.3), permutations=99).p for i in range(30)]
    assert np.mean(np.array(p) <= 0.05) <= 0.15 and max(p) > 0.5


def test_two_models_are_told_apart() -> None:
    told = equality.test_equality(answers(1, 0.2), answers(2, 0.5), permutations=199)
    assert told.p == pytest.approx(1 / 200) and told.n_distinct == 10 and told.statistic > 3


def test_two_answers_to_each_of_many_prompts_are_enough_where_one_model_has_a_habit() -> None:
    draw = np.random.default_rng(4)
    words = [f"word{i}" for i in range(40)]

    def habit(often: float) -> dict[str, list[str]]:
        chance = np.full(40, 1.0)
        chance[:4] = often
        return {
            f"prompt {i}": [" ".join(draw.choice(words, 30, p=chance / chance.sum())) for _ in range(2)]
            for i in range(80)
        }

    told = equality.test_equality(habit(1.0), habit(2.5), permutations=199)
    assert told.p == pytest.approx(1 / 200)
    assert equality.test_equality(habit(1.0), habit(1.0), permutations=199).p > 0.01


def test_only_prompts_that_both_answered_twice_count() -> None:
    ours, theirs = answers(1, 0.2), answers(2, 0.2)
    theirs["prompt 0"], theirs["prompt 1"] = [], ["once"]
    told = equality.test_equality(ours, theirs, permutations=19)
    assert told.n_distinct == 8 and told.n_scored == 8 * 16
    with pytest.raises(InputError, match="no prompt"):
        equality.test_equality(ours, {"another": ["a", "b"]})


def test_answers_that_never_vary_give_no_evidence() -> None:
    same = {"prompt": ["yes"] * 5}
    assert equality.test_equality(same, same, permutations=19).p == 1.0
