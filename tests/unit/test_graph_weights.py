"""Weights of attributes: what makes a shared attribute surprising, and what never does."""

import math

import numpy as np
import pyarrow as pa
import pytest
from scipy.stats import binom
from tests.unit.incidences import rows_of

from clonewatch.graph import weights
from clonewatch.kernels.rarity import lower_tail, scarcity
from clonewatch.pipeline.detection.signals import SIGNALS
from clonewatch.ports.linking import MOST_BITS, LinkingSignal

TEMPLATE: LinkingSignal = SIGNALS.load("template")
PAYMENT: LinkingSignal = SIGNALS.load("payment")


def carried(users: int, trusted: int, attribute: int = 1) -> pa.Table:
    return pa.table(
        {
            "entity": pa.array(range(users), pa.int32()),
            "attribute": [attribute] * users,
            "n": [3] * users,
            "users": [users] * users,
            "trusted": [trusted] * users,
        }
    )


def weight(link: LinkingSignal, users: int, trusted: int, share: float, population: int = 10_000) -> float | None:
    table = weights.weigh({link.signal.name: carried(users, trusted)}.__getitem__, [link], share, population)
    return float(table.attributes["weight"][0].as_py()) if len(table) else None


def test_the_weight_of_an_attribute_without_trusted_users_is_its_binomial_tail_in_bits() -> None:
    expected = -math.log2(binom.pmf(0, 20, 0.2))
    assert weight(TEMPLATE, 20, 0, 0.2) == pytest.approx(expected)


@pytest.mark.parametrize("users", [3, 30, 3000])
@pytest.mark.parametrize("share", [0.05, 0.3])
def test_lower_tail_agrees_with_a_sum_of_binomial_terms(users: int, share: float) -> None:
    for trusted in (0, users // 10, users // 3):
        tail = sum(binom.pmf(k, users, share) for k in range(trusted + 1))
        got = float(lower_tail(users, trusted, share))
        if tail > 1e-300:
            assert got == pytest.approx(-math.log2(tail), rel=1e-6, abs=1e-9)
        assert got >= 0


def test_lower_tail_grows_with_users_and_falls_with_trusted_ones() -> None:
    users = np.arange(5, 500, 5)
    assert (np.diff(lower_tail(users, np.zeros_like(users), 0.2)) > 0).all()
    trusted = np.arange(0, 40)
    assert (np.diff(lower_tail(np.full_like(trusted, 100), trusted, 0.2)) < 0).all()


def test_scarcity_is_zero_for_what_everybody_carries() -> None:
    assert float(scarcity(500, 500)) == 0
    assert float(scarcity(5, 500)) == pytest.approx(math.log2(10))


def test_a_popular_agent_weighs_nothing_however_significant_its_users_are() -> None:
    """7,000 users, 19 % of them trusted where 20 % of all are: significant, but without effect."""
    assert lower_tail(7_000, 1_330, 0.2) > 5
    assert weight(TEMPLATE, 7_000, 1_330, 0.2) is None


def test_a_private_template_with_as_many_users_reaches_the_cap() -> None:
    assert weight(TEMPLATE, 7_000, 0, 0.2) == TEMPLATE.cap


def test_an_attribute_loses_weight_with_every_trusted_user() -> None:
    found = [weight(TEMPLATE, 200, trusted, 0.2) or 0.0 for trusted in range(0, 41, 2)]
    assert found == sorted(found, reverse=True)
    assert found[0] == TEMPLATE.cap and found[-1] == 0


def test_what_unrelated_accounts_never_share_links_a_few_users() -> None:
    assert weight(TEMPLATE, 5, 0, 0.1) is None
    assert weight(PAYMENT, 5, 0, 0.1) == pytest.approx(math.log2(5 * 10**0.31))


def test_a_card_of_three_users_is_too_faint_to_link_by_itself() -> None:
    assert (weight(PAYMENT, 3, 0, 0.2) or 0.0) < weights.LEAST_WEIGHT


@pytest.mark.parametrize("users", range(2, 40))
def test_a_faint_attribute_is_kept_from_six_users_on(users: int) -> None:
    """At a trusted share of 0.1, six users without a trusted one weigh 0.9 bits, seven more than one bit."""
    found = weight(TEMPLATE, users, 0, 0.1)
    bits = float(lower_tail(users, 0, 0.1))
    kept = bits >= weights.FAINT_WEIGHT and (users >= weights.FAINT_USERS or bits >= weights.LEAST_WEIGHT)
    assert found == (pytest.approx(bits) if kept else None)


def test_the_heavier_of_two_weighings_counts_and_no_attribute_is_lost() -> None:
    """The operator trusts few, so a pool without one of them is no surprise; a pool without a bursty entity is."""
    few = weights.weigh({"template": carried(30, 0, 7)}.__getitem__, [TEMPLATE], 0.03, 5000)
    many = weights.weigh(
        {"template": pa.concat_tables([carried(30, 0, 7), carried(9, 0, 8)])}.__getitem__, [TEMPLATE], 0.4, 5000
    )
    assert len(few) == 30
    both = weights.stronger(few, many)
    assert len(both) == 39
    by_attribute = {r["attribute"]: r["weight"] for r in both.attributes.to_pylist()}
    light, heavy = ({r["attribute"]: r["weight"] for r in weighed.attributes.to_pylist()}[7] for weighed in (few, many))
    assert by_attribute[7] == heavy > light
    assert rows_of(weights.stronger(many, few)) == rows_of(both)
    assert sorted((r["attribute"], r["entity"]) for r in rows_of(both)) == [
        *((7, e) for e in range(30)),
        *((8, e) for e in range(9)),
    ]


def test_attributes_are_ordered_by_who_carries_them_and_not_by_their_values() -> None:
    """Twenty attributes of different sizes, with the values of one key and of another."""
    sizes = range(20, 40)

    def weighed(values: list[int], share: float = 0.4) -> weights.Incidences:
        parts = [carried(size, 0, value) for size, value in zip(sizes, values, strict=True)]
        table = pa.concat_tables(parts).sort_by([("attribute", "ascending"), ("entity", "ascending")])
        return weights.weigh({"template": table}.__getitem__, [TEMPLATE], share, 5000)

    one, other = list(range(20)), np.random.default_rng(5).permutation(20).tolist()
    renamed = dict(zip(other, one, strict=True))
    for first, second in (
        (weighed(one), weighed(other)),
        (weights.stronger(weighed(one), weighed(one, 0.3)), weights.stronger(weighed(other), weighed(other, 0.3))),
    ):
        assert [renamed[t] for t in second.attributes["attribute"].to_pylist()] == first.attributes[
            "attribute"
        ].to_pylist()
        assert second.attributes.drop_columns("attribute") == first.attributes.drop_columns("attribute")
        for name in ("attribute", "entity", "n"):
            assert (getattr(first, name) == getattr(second, name)).all()


def test_a_second_trusted_set_never_makes_an_attribute_lighter() -> None:
    """A template without trusted users of the operator keeps its weight where bursty entities use it as usual."""
    named = weights.weigh({"template": carried(60, 0)}.__getitem__, [TEMPLATE], 0.08, 5000)
    inferred = weights.weigh({"template": carried(60, 24)}.__getitem__, [TEMPLATE], 0.4, 5000)
    assert len(inferred) == 0
    assert rows_of(weights.stronger(named, inferred)) == rows_of(named)


def test_an_instrument_that_a_trusted_entity_shares_needs_more_than_a_few_users() -> None:
    assert weight(PAYMENT, 5, 1, 0.2) is None


def test_a_signal_links_no_entity_by_more_than_its_cap() -> None:
    scaled = weights.capped(np.array([0, 0, 0, 1]), np.array([MOST_BITS, MOST_BITS, MOST_BITS, 5.0]))
    assert scaled.tolist() == pytest.approx([*[MOST_BITS / 3] * 3, 5.0])


def test_attributes_come_sorted_whatever_order_the_signals_are_in() -> None:
    tables = {"template": pa.concat_tables([carried(12, 0, 3), carried(30, 1, 7)]), "payment": carried(9, 0, 5)}
    one, other = (
        weights.weigh(tables.__getitem__, links, 0.2, 500) for links in ([TEMPLATE, PAYMENT], [PAYMENT, TEMPLATE])
    )
    found = rows_of(one)
    assert found and found == rows_of(other)
    assert found == sorted(found, key=lambda r: (r["signal"], r["attribute"], r["entity"]))
