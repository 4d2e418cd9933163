"""Who counts as one party, and who is trusted."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from clonewatch.entities import ownership
from clonewatch.entities.ownership import anchors, owners, parties, trust_by_rhythm
from clonewatch.pipeline.staging import ACCOUNT_SCHEMA

DAY = 86_400_000_000


def accounts(count: int, **columns: Any) -> pa.Table:
    given = {"account": range(count), **columns}
    return pa.table(
        [pa.array(given[f.name], f.type) if f.name in given else pa.nulls(count, f.type) for f in ACCOUNT_SCHEMA],
        schema=ACCOUNT_SCHEMA,
    )


def activity(count: int, org: list[int | None] | None = None, first: list[int] | None = None) -> pa.Table:
    start = np.array(first if first else np.arange(count) * 1000) + 400 * DAY
    return pa.table({
        "account": pa.array(range(count), pa.int32()), "first_ts": start, "last_ts": start + DAY,
        "n": np.full(count, 5), "org": pa.array(org or [None] * count, pa.int64()),
    })  # fmt: skip


def groups(table: pa.Table) -> set[frozenset[int]]:
    """Accounts by party."""
    held: dict[int, set[int]] = {}
    for row in table.to_pylist():
        held.setdefault(row["entity"], set()).add(row["account"])
    return {frozenset(v) for v in held.values()}


def test_accounts_under_a_declared_organisation_are_one_party() -> None:
    table = accounts(4, org=[7, 7, 8, None], org_declared=[True] * 4)
    assert groups(owners(table, activity(4))) == {frozenset({0, 1}), frozenset({2}), frozenset({3})}


def test_an_undeclared_organisation_leaves_accounts_apart() -> None:
    table = accounts(3, org=[7, 7, 7], org_declared=[False, False, True])
    assert groups(owners(table, activity(3))) == {frozenset({n}) for n in range(3)}


def test_an_organisation_of_unknown_standing_counts_as_declared() -> None:
    """A missing fact lowers suspicion."""
    table = accounts(2, org=[7, 7])
    assert groups(owners(table, activity(2))) == {frozenset({0, 1})}


def test_the_organisation_named_in_the_log_counts_where_the_accounts_name_none() -> None:
    assert groups(owners(accounts(3), activity(3, org=[5, 5, None]))) == {frozenset({0, 1}), frozenset({2})}


def test_parties_are_numbered_by_what_they_did_never_by_their_names() -> None:
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


def made(count: int, **columns: Any) -> pa.Table:
    table, active = accounts(count, **columns), activity(count)
    return parties(table, active, owners(table, active))


def test_the_trusted_are_those_the_operator_names() -> None:
    found = anchors(made(100, anchor=[i < 25 for i in range(100)]))
    assert found == ("declared", 0.25, 25)


def test_too_few_named_trusted_accounts_count_as_none() -> None:
    found = anchors(made(100, anchor=[i < 5 for i in range(100)]))
    assert found == ("none", 0.0, 0)


def test_when_everybody_is_trusted_nobody_is() -> None:
    assert anchors(made(100, anchor=[True] * 100)).source == "none"


def test_one_trusted_account_makes_its_organisation_trusted() -> None:
    table = made(60, org=[1] * 30 + [None] * 30, anchor=[i == 3 or i >= 40 for i in range(60)])
    assert table["anchor"].to_pylist()[0] == 1
    assert table["accounts"].to_pylist()[0] == 30


def test_a_contract_that_allows_training_exempts_the_party() -> None:
    table = made(3, org=[1, 1, None], training_permitted=[False, True, None])
    assert sorted(zip(table["accounts"].to_pylist(), table["exempt"].to_pylist(), strict=True)) == [
        (1, False), (2, True),
    ]  # fmt: skip


def test_old_accounts_are_those_made_well_before_the_window() -> None:
    table = made(3, created=[0, 390 * DAY, None])
    by_first = table.sort_by("entity")["aged"].to_pylist()
    assert by_first == [True, False, False]


def test_a_declared_use_is_noted() -> None:
    assert made(2, declared_use=[None, 9])["declared"].to_pylist() == [False, True]


def rhythm(bursty: int, steady: int) -> pa.Table:
    short = [0.8] * bursty + [0.0] * steady
    return pa.table({"entity": pa.array(range(len(short)), pa.int32()), "short": short})


def test_those_who_work_in_bursts_are_trusted_where_nobody_is_named() -> None:
    found = trust_by_rhythm(made(100), rhythm(60, 40))
    assert anchors(found) == ("behaviour", 0.6, 60)
    assert all(e < 60 for e, a in zip(found["entity"].to_pylist(), found["anchor"].to_pylist(), strict=True) if a)


def test_rhythm_of_a_handful_makes_nobody_trusted() -> None:
    assert anchors(trust_by_rhythm(made(100), rhythm(10, 2))).source == "none"


def test_where_ages_are_known_only_old_accounts_are_trusted_by_rhythm() -> None:
    created = [0 if i < 30 else 399 * DAY for i in range(100)]
    assert anchors(trust_by_rhythm(made(100, created=created), rhythm(60, 40))).number == 30


def test_an_empty_log_has_no_trusted_set() -> None:
    assert anchors(made(0)) == ("none", 0.0, 0)


@pytest.mark.parametrize("share", [0.004, 0.99])
def test_a_trusted_set_of_nearly_nobody_or_nearly_everybody_is_not_used(share: float) -> None:
    count = 6000
    assert not ownership._usable(np.arange(count) < share * count)
