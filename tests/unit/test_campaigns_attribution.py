"""Which exchanges count as harvested, and which accounts as members."""

import numpy as np
import pyarrow as pa
import pytest

from clonewatch.campaigns.attribution import customer_attributes, mixture, told_by
from clonewatch.campaigns.membership import (
    CORE,
    FLOOR_EXCHANGES,
    FLOOR_SHARE,
    LEAST_SHARE,
    Accounts,
    membership,
)

HARVEST = {"task": 2, "demand": 4, "opening": 1, "sampled": 1}
HONEST = {"task": 7, "demand": 0, "opening": 0, "sampled": 0}
BACKGROUND = pa.Table.from_pylist([{**HONEST, "n": 9000}, {**HARVEST, "n": 30}])


def profile(cover: float, entities: int = 10, each: int = 1000, caught: float = 0.7) -> pa.Table:
    """Entities of one cluster. cover: honest share of their exchanges. caught: share of the harvest in the slice."""
    rows = []
    for entity in range(entities):
        harvest = round(each * (1 - cover))
        held = round(harvest * caught)
        rows += [
            {"cluster": 0, "entity": entity, **HARVEST, "held": True, "n": held},
            {"cluster": 0, "entity": entity, **HARVEST, "held": False, "n": harvest - held},
            {"cluster": 0, "entity": entity, **HONEST, "held": False, "n": each - harvest},
        ]
    return pa.Table.from_pylist([r for r in rows if r["n"]])


def posteriors(cover: float) -> dict[tuple[int, bool], float]:
    table = mixture(profile(cover), BACKGROUND, {0: False}, set())
    return {(r["task"], r["held"]): r["posterior"] for r in table.to_pylist()}


@pytest.mark.parametrize("cover", [0.0, 0.5, 0.9, 0.99])
def test_attribution_does_not_depend_on_how_much_cover_is_mixed_in(cover: float) -> None:
    found = posteriors(cover)
    assert found[2, True] >= 0.5
    assert found.get((7, False), 0.0) < 0.1


def test_a_harvest_outside_the_template_is_still_likelier_than_the_cover() -> None:
    found = posteriors(0.5)
    assert found[2, True] > found[2, False] > found[7, False]


def test_an_entity_without_any_harvest_in_its_slice_is_not_convicted_by_a_mixture_posterior() -> None:
    both = pa.concat_tables(
        [
            profile(0.2),
            pa.Table.from_pylist([{"cluster": 0, "entity": 99, **HARVEST, "held": False, "n": 500}]),
        ]
    )
    found = mixture(both, BACKGROUND, {0: False}, set()).to_pylist()
    assert max(r["posterior"] for r in found if r["entity"] == 99) < 0.5


def test_where_attributes_select_accounts_all_exchanges_count_except_those_of_neighbours() -> None:
    same = profile(1.0)  # nothing of them is towards harvest
    table = mixture(same, BACKGROUND, {0: True}, {(0, 3)})
    by_entity = {r["entity"]: r["posterior"] for r in table.to_pylist()}
    assert by_entity[0] == 0.95 and by_entity[3] == 0.05
    assert told_by(table, {0: True}) == {0: "accounts"}
    assert told_by(table, {0: False}) == {0: "attributes"}


@pytest.mark.parametrize("cover", [0.0, 0.3, 0.7, 0.9])
def test_where_attributes_select_accounts_a_part_that_asks_as_harvests_do_is_told_apart(cover: float) -> None:
    table = mixture(profile(cover), BACKGROUND, {0: True}, {(0, 3)})
    for row in table.to_pylist():
        assert (row["posterior"] >= 0.5) == (row["task"] == HARVEST["task"] and row["entity"] != 3)
    assert told_by(table, {0: True}) == {0: "shape"}


def test_customers_who_ask_unlike_the_background_are_not_taken_for_the_harvest() -> None:
    coders = [{"cluster": 0, "entity": e, **HONEST, "task": 3, "held": True, "n": 700} for e in range(10)]
    table = mixture(pa.concat_tables([profile(0.7), pa.Table.from_pylist(coders)]), BACKGROUND, {0: True}, set())
    found = {r["task"]: r["posterior"] for r in table.to_pylist()}
    assert found[HARVEST["task"]] >= 0.5 > max(found[3], found[HONEST["task"]])


def test_posteriors_are_probabilities_whatever_the_counts() -> None:
    for cover in (0.0, 0.001, 0.999):
        values = mixture(profile(cover), BACKGROUND, {0: False}, set())["posterior"].to_numpy()
        assert ((values >= 0) & (values <= 1)).all()


def test_without_a_background_only_the_slice_is_attributed() -> None:
    table = mixture(profile(0.5), BACKGROUND.slice(0, 0), {0: False}, set()).to_pylist()
    assert all((r["posterior"] >= 0.5) == r["held"] for r in table)


def role(
    harvested: int,
    exchanges: int,
    mass: float = 13.0,
    linking_families: int = 2,
    together: float = 1.0,
    flagged: bool = True,
    usual: int = 50,
) -> tuple[float, str]:
    """Of an account in a group of nine others that show `usual` harvested exchanges each."""
    columns = ((5, 5), (harvested, usual), (exchanges, 100), (mass, 13.0), (linking_families, 2), (together, 1.0))
    accounts = Accounts(*(np.array([mine, *[others] * 9]) for mine, others in columns))
    score, names = membership(accounts, np.full(10, flagged))
    return float(score[0]), str(names[0])


def test_an_account_that_mostly_harvests_is_core() -> None:
    score, name = role(80, 100)
    assert name == "core" and score > 0.9


def test_an_account_of_the_operator_that_mostly_serves_others_is_fringe() -> None:
    share = (FLOOR_SHARE + LEAST_SHARE) / 2
    assert role(round(1000 * share), 1000, linking_families=2)[1] == "fringe"
    assert role(round(1000 * share), 1000, linking_families=1)[1] == "proxy_customer"


def test_an_account_that_other_clusterings_leave_out_is_fringe_however_much_it_harvested() -> None:
    score, name = role(80, 100, together=CORE - 0.01)
    assert name == "fringe" and score == role(80, 100)[0]
    assert role(80, 100, together=CORE)[1] == "core"


def test_consensus_does_not_make_a_customer_a_member() -> None:
    assert role(90, 100, linking_families=0, together=1.0)[1] == "proxy_customer"
    assert role(round(1000 * FLOOR_SHARE / 2), 1000, linking_families=1, together=1.0)[1] == "proxy_customer"


def test_a_neighbour_is_a_customer_whatever_it_asked() -> None:
    score, name = role(90, 100, linking_families=0)
    assert name == "proxy_customer" and score <= 0.25


def test_a_few_harvested_exchanges_do_not_make_a_member() -> None:
    assert role(FLOOR_EXCHANGES - 1, 3)[1] == "proxy_customer"


def test_membership_grows_with_share_and_links() -> None:
    shares = [role(n, 100)[0] for n in (6, 20, 60, 100)]
    assert shares == sorted(shares)
    assert role(50, 100, mass=0.2)[0] < role(50, 100, mass=5.0)[0] <= 1.0


def selected(attributes: dict[str, tuple[int, int]], n: int = 40) -> pa.Table:
    """The table of attribute profiles. attributes: by name, demand and opening of the n exchanges that each selects."""
    rows = [
        {
            "cluster": 3,
            "signal": "template",
            "attribute": i,
            "task": k % 3,
            "demand": d,
            "opening": o,
            "sampled": 0,
            "n": n,
        }
        for i, (d, o) in enumerate(attributes.values())
        for k in range(3)
    ]
    return pa.Table.from_pylist(rows)


MANY_TASKS = pa.Table.from_pylist(
    [
        {"task": k % 6, "demand": d, "opening": o, "sampled": 0, "n": n}
        for k in range(6)
        for d, n in ((0, 900), (1, 80), (3, 5))
        for o in (0, 1)
    ]
)


def test_attributes_of_a_proxys_customers_are_told_apart_from_the_campaigns_own() -> None:
    attributes = {"harvest a": (3, 1), "harvest b": (4, 1), "an app": (0, 0), "a chat": (0, 1), "another app": (0, 0)}
    found = customer_attributes(selected(attributes), MANY_TASKS)
    assert sorted(found["attribute"].to_pylist()) == [2, 3, 4] and set(found["cluster"].to_pylist()) == {3}


@pytest.mark.parametrize("kind", [(3, 1), (0, 1), (0, 0)])
def test_where_all_attributes_are_of_one_kind_none_belongs_to_customers(kind: tuple[int, int]) -> None:
    """A harvest without a visible habit keeps its attributes: nothing tells them apart."""
    assert customer_attributes(selected({f"t{i}": kind for i in range(6)}), MANY_TASKS).num_rows == 0


def test_without_a_background_no_attribute_counts_as_the_customers() -> None:
    attributes = selected({"harvest": (3, 1), "an app": (0, 0)})
    assert customer_attributes(attributes, MANY_TASKS.slice(0, 0)).num_rows == 0


def test_the_order_of_rows_does_not_change_which_attributes_are_the_customers() -> None:
    attributes = selected({f"h{i}": (3, 1) for i in range(4)} | {f"c{i}": (0, 0) for i in range(9)})
    shuffled = attributes.take(pa.array(np.random.default_rng(2).permutation(attributes.num_rows)))
    one, other = (customer_attributes(t, MANY_TASKS)["attribute"].to_pylist() for t in (attributes, shuffled))
    assert one == other == list(range(4, 13))


def test_of_operators_that_ask_little_one_exchange_is_enough_where_two_families_link() -> None:
    assert role(1, 9, usual=1)[1] == "core"
    assert role(1, 9, usual=2)[1] == "proxy_customer"
    assert role(0, 9, usual=0)[1] == "proxy_customer"
    assert role(1, 9, linking_families=1, usual=1)[1] == "proxy_customer"


def test_links_alone_tell_who_is_in_a_group_of_which_most_show_nothing() -> None:
    assert role(0, 300, linking_families=1, flagged=False, usual=0)[1] == "core"
    assert role(0, 300, together=CORE - 0.01, flagged=False, usual=0)[1] == "fringe"
    assert role(90, 100, linking_families=0, flagged=False, usual=0)[1] == "proxy_customer"


def test_where_most_of_a_group_shows_harvest_the_others_are_customers_flagged_or_not() -> None:
    assert {role(0, 300, flagged=flagged)[1] for flagged in (True, False)} == {"proxy_customer"}


def test_who_has_too_few_exchanges_to_tell_is_in_a_group_that_is_not_flagged() -> None:
    """Linked as the others are, it would show nothing as often by chance."""
    assert [role(0, 1, flagged=flagged)[1] for flagged in (True, False)] == ["proxy_customer", "core"]


def test_what_a_log_does_not_tell_speaks_for_nobody() -> None:
    untold = {"task": -1, "demand": -1, "opening": -1, "sampled": 0}
    before = mixture(profile(0.5), BACKGROUND, {0: False}, set()).to_pylist()
    more = pa.concat_tables([BACKGROUND, pa.Table.from_pylist([{**untold, "n": 1_000_000}])])
    after = mixture(profile(0.5), more, {0: False}, set()).to_pylist()
    assert [r["posterior"] >= 0.5 for r in after] == [r["posterior"] >= 0.5 for r in before]
    # On the side of the cluster too: an exchange of which nothing is told is not the campaign's.
    rows = [*profile(0.5).to_pylist(), {"cluster": 0, "entity": 0, **untold, "held": False, "n": 9}]
    found = mixture(pa.Table.from_pylist(rows), BACKGROUND, {0: False}, set()).to_pylist()
    assert all(r["posterior"] < 0.5 for r in found if r["task"] == -1)


def test_customers_prompts_are_told_apart_where_the_background_tells_nothing_of_them() -> None:
    untold = pa.Table.from_pylist([{"task": -1, "demand": -1, "opening": -1, "sampled": 0, "n": 400_000}])
    same = {"cluster": 0, "signal": "template", "opening": 1, "sampled": 0}
    rows = [{**same, "attribute": a, "task": a % 3, "demand": 3 + a % 2, "n": 60} for a in range(4)]
    rows += [{**same, "attribute": a, "task": a % 3, "demand": 0, "n": 300} for a in range(4, 9)]
    assert sorted(customer_attributes(pa.Table.from_pylist(rows), untold)["attribute"].to_pylist()) == [4, 5, 6, 7, 8]


def test_the_profile_starts_towards_harvest_and_not_at_an_agent_that_is_unlike_everybody() -> None:
    chat = [{"task": k, "demand": int(k == 5), "opening": k % 2, "sampled": 0, "n": 1000} for k in range(6)]
    same = {"cluster": 0, "signal": "template", "sampled": 0}
    agent = {"task": 9, "demand": 0, "opening": 0, "n": 400}  # a task nobody else has, in long sessions
    harvest = [{"task": k, "demand": 0, "opening": 1, "n": 50} for k in range(3)]
    rows = [{**same, "attribute": 1, **agent}, *({**same, "attribute": 2, **one} for one in harvest)]
    found = customer_attributes(pa.Table.from_pylist(rows), pa.Table.from_pylist(chat))
    assert found["attribute"].to_pylist() == [1]


@pytest.mark.parametrize(("carried", "found"), [(1, True), (0, False)])
def test_of_accounts_that_ask_little_each_needs_no_more_than_the_usual_one_carries(carried: int, found: bool) -> None:
    rows = []
    for entity in range(20):
        rows.append({"cluster": 0, "entity": entity, **HARVEST, "held": False, "n": 12})
        rows.append({"cluster": 0, "entity": entity, **HARVEST, "held": True, "n": 1 if entity else carried})
    posteriors = mixture(pa.Table.from_pylist([r for r in rows if r["n"]]), BACKGROUND, {0: False}, set()).to_pylist()
    (first,) = (r["posterior"] for r in posteriors if r["entity"] == 0 and not r["held"])
    assert (first >= 0.5) == found
