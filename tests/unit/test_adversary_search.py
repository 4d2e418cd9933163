"""The response model, the search and the game, on surfaces and games whose answers are known."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clonewatch.lab.adversary.cards import cards
from clonewatch.lab.adversary.game import Solved, ending, gap, solved
from clonewatch.lab.adversary.prices import Aim
from clonewatch.lab.adversary.response import Answer, Response
from clonewatch.lab.adversary.search import Plan, Point, candidates, expected, frontier, spread
from clonewatch.lab.adversary.strategy import Strategy

NAMES = ("paraphrase", "cover", "per_card")
AIM = Aim(10_000, 28, 400)
CARDS = cards()


def truth(strategy: Strategy) -> Answer:
    """A defence that sees only wording: what is reworded passes."""
    return Answer(0.1 + 0.9 * strategy.paraphrase, 1.5 - 0.5 * strategy.paraphrase)


def test_the_model_learns_a_surface_and_says_how_well() -> None:
    learned = spread(40, NAMES, 1)
    model = Response(learned, [truth(one) for one in learned], NAMES)
    fresh = spread(30, NAMES, 2)
    missed = np.mean([abs(model.answer(one).delivered - truth(one).delivered) for one in fresh])
    assert missed < 0.08
    assert model.error() == pytest.approx(missed, abs=0.05)
    assert model.distance(learned[3]) < 1e-9 < model.distance(fresh[3])


def test_the_model_needs_a_few_episodes() -> None:
    with pytest.raises(ValueError, match="needs 4 episodes"):
        Response(spread(3, NAMES, 1), [Answer(0.5, 1.0)] * 3, NAMES)


def test_the_search_finds_what_the_defence_does_not_see() -> None:
    learned = spread(40, NAMES, 1)
    model = Response(learned, [truth(one) for one in learned], NAMES)
    found = candidates(model, AIM, CARDS, Plan(NAMES, 150), 4, 5)
    assert found == candidates(model, AIM, CARDS, Plan(NAMES, 150), 4, 5), "equal seeds, equal answers"
    best = max(expected(one, truth(one), AIM, CARDS).share for one in found)
    assert best > 0.85 > expected(replace(Strategy(), paraphrase=0.1), truth(Strategy()), AIM, CARDS).share
    cheap = min(expected(one, truth(one), AIM, CARDS).usd for one in found)
    assert cheap < min(expected(one, truth(one), AIM, CARDS).usd for one in learned) * 1.2


def test_a_budget_keeps_what_is_too_dear_out() -> None:
    learned = spread(40, NAMES, 1)
    model = Response(learned, [truth(one) for one in learned], NAMES)
    for one in candidates(model, AIM, CARDS, Plan(NAMES, 150, budget=450.0), 4, 5):
        point = expected(one, model.answer(one), AIM, CARDS)
        assert point.usd * point.share * AIM.target <= 450.0


@given(st.lists(st.tuples(st.floats(0.01, 10), st.floats(0.01, 1)), min_size=1, max_size=12))
def test_nothing_beats_the_frontier_and_it_beats_the_rest(pairs: list[tuple[float, float]]) -> None:
    points = [Point(*one) for one in pairs]
    front = [points[place] for place in frontier(points)]
    assert front
    for one in points:
        assert one in front or any(f.usd <= one.usd and f.share >= one.share for f in front)
    ordered = sorted(set(front))
    assert all(a.share < b.share for a, b in pairwise(ordered))


@settings(max_examples=30)
@given(st.lists(st.lists(st.floats(-100, 100), min_size=3, max_size=3), min_size=2, max_size=4))
def test_neither_side_gains_by_leaving_a_solution(table: list[list[float]]) -> None:
    solution = solved(table)
    payoff = np.array(table)
    size = float(np.abs(payoff).max()) or 1.0
    assert np.all(np.array(solution.policies) @ payoff <= solution.value + 1e-4 * size)
    assert np.all(payoff @ np.array(solution.strategies) >= solution.value - 1e-4 * size)


def test_a_response_that_gains_is_the_gap() -> None:
    solution = Solved(10.0, [0.5, 0.5], [1.0])
    left = gap(solution, [12.0, 16.0], [7.0])
    assert (left.attacker, left.defender, left.whole) == (4.0, 3.0, 7.0)
    assert gap(solution, [8.0, 8.0], None).whole == 0.0
    with pytest.raises(ValueError, match="finite"):
        solved([[float("nan")]])


def test_rounds_end_in_a_fixed_point_a_cycle_or_are_open() -> None:
    assert ending([("a", "x")], [0.1], 100.0) == "fixed point"
    assert ending([("a", "x"), ("b", "y"), ("a", "x")], [30.0, 30.0, 30.0], 100.0) == "cycle"
    assert ending([("a", "x"), ("b", "y")], [30.0, 30.0], 100.0) == "open"
