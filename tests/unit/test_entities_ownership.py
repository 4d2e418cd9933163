"""Who counts as one entity, and who is trusted."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from clonewatch.engines.duckdb import DuckDB
from clonewatch.entities import ownership
from clonewatch.entities.ownership import (
    entity_facts,
    owners,
    trust_by_rhythm,
    trusted_set,
    with_second_set,
    withdraw_trust,
)
from clonewatch.pipeline.intake.staging import ACCOUNT_SCHEMA
from clonewatch.pipeline.steps import StepRunner
from clonewatch.ports.engine import Fold

DAY = 86_400_000_000


def accounts(count: int, **columns: Any) -> pa.Table:
    given = {"account": range(count), **columns}
    return pa.table(
        [pa.array(given[f.name], f.type) if f.name in given else pa.nulls(count, f.type) for f in ACCOUNT_SCHEMA],
        schema=ACCOUNT_SCHEMA,
    )


def activity(count: int, org: list[int | None] | None = None, first: list[int] | None = None) -> pa.Table:
    start = np.array(first if first else np.arange(count) * 1000) + 400 * DAY
    return pa.table(
        {
            "account": pa.array(range(count), pa.int32()),
            "first_ts": start,
            "last_ts": start + DAY,
            "n": np.full(count, 5),
            "org": pa.array(org or [None] * count, pa.int64()),
        }
    )


def groups(table: pa.Table) -> set[frozenset[int]]:
    """Accounts by entity."""
    members: dict[int, set[int]] = {}
    for row in table.to_pylist():
        members.setdefault(row["entity"], set()).add(row["account"])
    return {frozenset(v) for v in members.values()}


def test_accounts_under_a_declared_organisation_are_one_entity() -> None:
    table = accounts(4, org=[7, 7, 8, None], org_declared=[True] * 4)
    assert groups(owners(table, activity(4))) == {frozenset({0, 1}), frozenset({2}), frozenset({3})}


def test_accounts_of_an_undeclared_organisation_are_separate_entities() -> None:
    table = accounts(3, org=[7, 7, 7], org_declared=[False, False, True])
    assert groups(owners(table, activity(3))) == {frozenset({n}) for n in range(3)}


def test_an_organisation_of_unknown_status_counts_as_declared() -> None:
    """A missing fact lowers suspicion."""
    table = accounts(2, org=[7, 7])
    assert groups(owners(table, activity(2))) == {frozenset({0, 1})}


def test_the_organisation_named_in_the_log_counts_where_the_accounts_name_none() -> None:
    assert groups(owners(accounts(3), activity(3, org=[5, 5, None]))) == {frozenset({0, 1}), frozenset({2})}


def test_entities_are_numbered_by_what_they_did_never_by_their_names() -> None:
    starts = [300, 100, 200, 100_000]
    org = [1, None, 1, None]
    plain = owners(accounts(4, org=org), activity(4, first=starts))
    order = [2, 0, 3, 1]  # the same accounts under other numbers
    renamed = owners(accounts(4, org=[org[i] for i in order]), activity(4, first=[starts[i] for i in order]))
    by_account = dict(zip(plain["account"].to_pylist(), plain["entity"].to_pylist(), strict=True))
    again = dict(zip(renamed["account"].to_pylist(), renamed["entity"].to_pylist(), strict=True))
    assert {order[k]: v for k, v in again.items()} == by_account
    assert by_account[1] == 0 and by_account[0] == by_account[2] == 1


def test_rows_in_another_order_give_the_same_owners() -> None:
    table, active = accounts(6, org=[1, 1, None, 2, 2, None]), activity(6)
    mixed = np.random.default_rng(0).permutation(6)
    assert owners(table.take(mixed), active.take(mixed[::-1])) == owners(table, active)


def test_the_values_of_hashes_do_not_number_entities() -> None:
    """Of two organisations with the same start, end and volume, the one whose account comes first is first."""
    starts = [100, 200, 100, 200]
    one, other = (owners(accounts(4, org=org), activity(4, first=starts)) for org in ([5, 5, 9, 9], [9, 9, 5, 5]))
    assert one == other
    assert one["entity"].to_pylist() == [0, 0, 1, 1]


@pytest.mark.parametrize("hashed", [(5, 9), (9, 5)], ids=["one key", "another key"])
def test_an_account_belongs_to_the_organisation_it_names_most_often_or_else_first(hashed: tuple[int, int]) -> None:
    first, second = hashed
    named = [(0, first), (0, second), (0, second), (1, second), (1, first), (1, None), (2, None)]
    rows = {
        "account": pa.array([account for account, _ in named], pa.int32()),
        "org": pa.array([org for _, org in named], pa.int64()),
        "ts": pa.array(range(len(named)), pa.int64()),
        "row": pa.array(range(len(named)), pa.int64()),
    }
    with DuckDB().using() as engine:
        engine.put("exchanges", pa.table(rows))
        plan = StepRunner(engine, ["exchanges"])
        plan.run_all([step for step in ownership.STEPS if step.writes in ("account_orgs", "activity")])
        found = engine.fetch("SELECT account, n, org FROM activity ORDER BY account").to_pylist()
    assert [(row["n"], row["org"]) for row in found] == [(3, second), (3, second), (1, None)]


def made(count: int, **columns: Any) -> pa.Table:
    table, active = accounts(count, **columns), activity(count)
    return entity_facts(table, active, owners(table, active))


def test_the_operator_names_the_trusted_entities() -> None:
    found = trusted_set(made(100, anchor=[i < 25 for i in range(100)]))
    assert found == ("declared", 0.25, 25)


def test_too_few_named_trusted_accounts_count_as_none() -> None:
    found = trusted_set(made(100, anchor=[i < 5 for i in range(100)]))
    assert found == ("none", 0.0, 0)


def test_when_everybody_is_trusted_there_is_no_trusted_set() -> None:
    assert trusted_set(made(100, anchor=[True] * 100)).source == "none"


def test_one_trusted_account_makes_its_organisation_trusted() -> None:
    table = made(60, org=[1] * 30 + [None] * 30, anchor=[i == 3 or i >= 40 for i in range(60)])
    assert table["anchor"].to_pylist()[0] == 1
    assert table["accounts"].to_pylist()[0] == 30


def test_a_contract_that_allows_training_exempts_the_entity() -> None:
    table = made(3, org=[1, 1, None], training_permitted=[False, True, None])
    assert sorted(zip(table["accounts"].to_pylist(), table["exempt"].to_pylist(), strict=True)) == [
        (1, False),
        (2, True),
    ]


def test_aged_accounts_were_created_well_before_the_window() -> None:
    table = made(3, created=[0, 390 * DAY, None])
    by_first = table.sort_by("entity")["aged"].to_pylist()
    assert by_first == [True, False, False]


def test_a_declared_use_is_recorded() -> None:
    assert made(2, declared_use=[None, 9])["declared"].to_pylist() == [False, True]


def rhythm(bursty: int, steady: int) -> pa.Table:
    short = [0.8] * bursty + [0.0] * steady
    return pa.table({"entity": pa.array(range(len(short)), pa.int32()), "short": short})


def test_entities_that_work_in_bursts_are_trusted_where_the_operator_names_none() -> None:
    found = trust_by_rhythm(made(100), rhythm(60, 40))
    assert trusted_set(found) == ("behaviour", 0.6, 60)
    assert all(e < 60 for e, a in zip(found["entity"].to_pylist(), found["anchor"].to_pylist(), strict=True) if a)


def test_with_too_few_rhythms_no_entity_is_trusted() -> None:
    assert trusted_set(trust_by_rhythm(made(100), rhythm(10, 2))).source == "none"


def test_where_ages_are_known_only_old_accounts_are_trusted_by_rhythm() -> None:
    created = [0 if i < 30 else 399 * DAY for i in range(100)]
    assert trusted_set(trust_by_rhythm(made(100, created=created), rhythm(60, 40))).number == 30


def test_an_empty_log_has_no_trusted_set() -> None:
    assert trusted_set(made(0)) == ("none", 0.0, 0)


@pytest.mark.parametrize("share", [0.004, 0.99])
def test_a_trusted_set_of_nearly_nobody_or_nearly_everybody_is_not_used(share: float) -> None:
    count = 6000
    assert not ownership._usable(np.arange(count) < share * count)


# ---- trust withdrawn -----------------------------------------------------------------------------------------------


def withdrawn(count: int = 200, **columns: Any) -> set[int]:
    """Entities that lose the operator's trust. Entity k is account k: nobody shares an organisation here."""
    table, active = accounts(count, **columns), activity(count)
    owned = owners(table, active)
    before = entity_facts(table, active, owned)
    after = withdraw_trust(before, owned, table).sort_by("entity")
    flags = zip(before.sort_by("entity")["anchor"].to_pylist(), after["anchor"].to_pylist(), strict=True)
    return {entity for entity, (was, now) in enumerate(flags) if was and not now}


def shared(*groups_of: list[int], count: int = 200) -> list[int | None]:
    """One instrument or device for each of these groups; everybody else has one of their own."""
    values: list[int | None] = [1000 + k for k in range(count)]
    for attribute, members in enumerate(groups_of):
        for member in members:
            values[member] = attribute
    return values


def trusting(*entities: int, count: int = 200) -> list[bool]:
    """A quarter of all are trusted, and of the first fifty only those named."""
    return [k in entities or (k >= 50 and k % 3 == 0) for k in range(count)]


@pytest.mark.parametrize("fact", ["payment", "device"])
def test_bought_accounts_that_share_an_instrument_with_unrelated_ones_lose_trust(fact: str) -> None:
    pool = list(range(8))
    assert withdrawn(anchor=trusting(2, 5), **{fact: shared(pool)}) == {2, 5}


def test_sharing_a_network_an_address_pattern_or_a_referral_costs_no_trust() -> None:
    pool = shared(list(range(8)))
    assert withdrawn(anchor=trusting(2, 5), signup_network=pool, pattern=pool, referrer=pool) == set()


def test_a_household_of_trusted_people_keeps_its_trust() -> None:
    """Where most of the entities on a card are trusted, the card is theirs."""
    assert withdrawn(anchor=trusting(2, 3, 4), payment=shared([1, 2, 3, 4])) == set()


def test_accounts_of_one_declared_organisation_share_its_card_and_keep_their_trust() -> None:
    org = [7 if k < 8 else None for k in range(200)]
    assert withdrawn(anchor=trusting(2), org=org, payment=shared(list(range(8)))) == set()


def test_an_overt_customer_keeps_its_trust_and_makes_no_card_suspect() -> None:
    """The operator knows what a declared customer pays for another: the two are not unrelated."""
    use = [1 if k == 2 else None for k in range(200)]
    assert withdrawn(anchor=trusting(2), declared_use=use, payment=shared([2, 3, 4, 5])) == set()
    assert withdrawn(anchor=trusting(4), declared_use=use, payment=shared([2, 4])) == set()
    assert withdrawn(anchor=trusting(4), payment=shared([2, 4])) == {4}


@pytest.mark.parametrize("fact", ["payment", "device"])
@pytest.mark.parametrize(("users", "lost"), [(2, True), (16, True), (17, False), (120, False)])
def test_what_very_many_share_such_as_card_brands_and_cheap_phones_costs_no_trust(
    fact: str, users: int, lost: bool
) -> None:
    values = shared(list(range(users)))
    assert withdrawn(anchor=trusting(1), **{fact: values}) == ({1} if lost else set())


def test_where_more_than_half_of_the_trusted_would_lose_trust_nobody_does() -> None:
    """Where neighbours usually share phones, sharing shows nothing."""
    count = 200
    couples = [[2 * k, 2 * k + 1] for k in range(50)]
    most = [k % 2 == 0 for k in range(100)] + [False] * 100
    assert withdrawn(anchor=most, device=shared(*couples), count=count) == set()
    some = [k % 2 == 0 for k in range(100)] + [True] * 60 + [False] * 40
    assert withdrawn(anchor=some, device=shared(*couples), count=count) == {2 * k for k in range(50)}


@pytest.mark.parametrize("step", [ownership.BEHAVIOUR, ownership.BOTH])
@pytest.mark.parametrize(("users", "lost"), [(16, False), (17, True), (120, True)])
def test_nobody_on_a_crowded_device_is_trusted_by_rhythm(step: Fold, users: int, lost: bool) -> None:
    """People who work in bursts serve a pool too; nobody vouches for them. A large family may share a computer."""
    count, bursty = 400, 2 * users // 5
    pool = [*range(bursty), *range(300, 300 + users - bursty)]
    table, active = accounts(count, device=shared(pool, count=count)), activity(count)
    owned = owners(table, active)
    facts = {"entity_facts": entity_facts(table, active, owned), "owners": owned, "accounts": table}
    tables = facts | {"entity_rhythm": rhythm(300, 100)}
    found = step.function(*(tables[name] for name in step.reads)).sort_by("entity")
    trusted = np.flatnonzero(found["second" if step is ownership.BOTH else "anchor"].to_numpy()).tolist()
    assert trusted == list(range(bursty if lost else 0, 300))


def test_missing_instruments_and_devices_cost_no_trust() -> None:
    assert withdrawn(anchor=trusting(2, 5)) == set()


# ---- a second trusted set ------------------------------------------------------------------------------------------


def test_the_second_set_holds_the_bursty_and_the_operators_own() -> None:
    named = made(100, anchor=[k in range(95, 100) or k in range(20) for k in range(100)])
    both = with_second_set(named, trust_by_rhythm(made(100), rhythm(60, 40)))
    assert both["anchor"].to_pylist() == named["anchor"].to_pylist(), "the operator's own set is unchanged"
    assert [k for k, v in enumerate(both["second"].to_pylist()) if v] == [*range(60), *range(95, 100)]
    assert trusted_set(both).source == "declared"


def test_where_no_entity_is_trusted_by_rhythm_there_is_no_second_set() -> None:
    named = made(100, anchor=[k < 25 for k in range(100)])
    both = with_second_set(named, trust_by_rhythm(made(100), rhythm(10, 2)))
    assert not any(both["second"].to_pylist())
