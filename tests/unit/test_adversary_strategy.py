"""Strategies: bounds, prices, and what the simulator makes of them; limits that leave the past as it was."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clonewatch.lab.adversary.bound import ALONE, LINKS, Tried, below, check, sizes, table
from clonewatch.lab.adversary.cards import cards
from clonewatch.lab.adversary.harvest import harvest
from clonewatch.lab.adversary.prices import Aim, Used, bill, cheapest, planned, undisturbed_usd
from clonewatch.lab.adversary.strategy import KNOWN, Strategy, at, knobs, placed
from clonewatch.lab.adversary.translation import Setting, plan, scenario
from clonewatch.lab.limits import Limit
from clonewatch.lab.simulate import simulate

CARDS = cards()
SMALL = Setting(people=60, firms=3, crowd=0.02, quiet=2, days=10, target=900, most=60)
AIM = Aim(20_000, 28, 600)


@pytest.mark.parametrize("name", sorted(knobs()))
def test_a_knob_refuses_what_is_beyond_its_bounds(name: str) -> None:
    knob = knobs()[name]
    wrong = "nonsense" if knob.choices else knob.high * 2 + 1
    with pytest.raises(ValueError, match=name):
        replace(Strategy(), **{name: wrong})


@given(st.sampled_from(sorted(knobs())), st.floats(0, 1))
def test_every_place_of_a_knob_is_a_value_that_a_strategy_takes(name: str, place: float) -> None:
    value = at(knobs()[name], place)
    made = replace(Strategy(), **{name: value})
    assert all(-1e-6 <= one <= 1 + 1e-6 for one in placed(knobs()[name], getattr(made, name)))


@pytest.mark.parametrize("name", sorted(KNOWN))
def test_nothing_is_cheaper_than_hiding_nothing(name: str) -> None:
    _, least = cheapest(AIM, CARDS)
    assert undisturbed_usd(KNOWN[name], AIM, CARDS) > least > 0


def test_the_bill_grows_with_what_is_hidden() -> None:
    used = Used(opened=100, requests=40_000, harvested=20_000, days=28)
    plain = bill(Strategy(), used, CARDS)
    assert plain.total == pytest.approx(sum(plain))
    assert bill(Strategy(per_card=1.0), used, CARDS).payment == 100 * CARDS["payment_usd"]
    assert bill(Strategy(aged_days=400.0), used, CARDS).ageing == 100 * 200 * CARDS["ageing_usd_per_day"]
    assert bill(Strategy(cover_from="customers"), used, CARDS).tokens == plain.tokens / 2
    assert bill(Strategy(split=10), used, CARDS).software == 10 * plain.software
    checked = bill(Strategy(), used._replace(checked=7), CARDS)
    assert checked.identity == 7 * CARDS["identity_usd"]


def test_a_campaign_ends_when_it_has_what_it_wants() -> None:
    assert planned(KNOWN["naive"], AIM).harvested == 20_000
    assert planned(replace(KNOWN["mimic"], rollouts=2), AIM).harvested == 40_000
    assert planned(KNOWN["naive"], AIM._replace(most=10)).harvested < 20_000


def test_every_knob_but_those_of_replacement_reaches_the_simulator() -> None:
    """Turning any knob changes the plan; who replaces what, and when, an exercise decides."""
    for name, knob in knobs().items():
        turned = [plan(SMALL, replace(Strategy(), **{name: at(knob, place)})) for place in (0.03, 0.93)]
        same = all(one == plan(SMALL, Strategy()) for one in turned)
        assert same == (name in ("reserve", "replace_hours")), name


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, dict[str, list[Limit]]]:
    """A log, and the same world where half of the members are banned on day 6 and replaced on day 7."""
    folder = tmp_path_factory.mktemp("worlds")
    simulate("w", folder / "free", seed=5, known={"w": scenario(SMALL, KNOWN["naive"])})
    members = sorted(harvest(folder / "free").members)
    limits = {one: [Limit(4.0, 1.0), Limit(6.0, 0.0)] for one in members[::2]}
    known = {"w": scenario(SMALL, KNOWN["naive"], [(7.0, len(limits))])}
    simulate("w", folder / "limited", seed=5, known=known, limits=limits)
    return folder / "free", folder / "limited", limits


def _rows(log: Path, until: float) -> set[tuple[object, ...]]:
    table = pq.read_table(log / "exchanges", columns=["account_id", "ts", "prompt_id", "client_ip", "template_id"])
    first = pc.min(table["ts"].cast("int64")).as_py() // 86_400_000_000 * 86_400_000_000
    kept = table.filter(pc.less(table["ts"].cast("int64"), first + int(until * 86_400_000_000)))
    return {tuple(row.values()) for row in kept.to_pylist()}


def test_what_is_done_on_a_day_leaves_the_days_before_as_they_were(
    logs: tuple[Path, Path, dict[str, list[Limit]]],
) -> None:
    free, limited, _ = logs
    assert _rows(free, 6.0) == _rows(limited, 6.0)
    assert _rows(free, 12.0) != _rows(limited, 12.0)


def test_a_ban_stops_an_account_is_logged_and_is_followed_by_the_replacement(
    logs: tuple[Path, Path, dict[str, list[Limit]]],
) -> None:
    free, limited, limits = logs
    before, after = harvest(free), harvest(limited)
    stopped = [day for day, one in zip(after.days, after.account, strict=True) if one in limits]
    assert max(stopped) < 6.0 < max(before.days)
    new = after.members - before.members
    assert len(new) == len(limits)
    assert min(day for day, one in zip(after.days, after.account, strict=True) if one in new) >= 7.0
    events = pq.read_table(limited / "events.parquet").to_pylist()
    assert {e["account_id"] for e in events if e["kind"] == "ban"} >= set(limits)


def test_useful_exchanges_are_answered_and_different(logs: tuple[Path, Path, dict[str, list[Limit]]]) -> None:
    counted = harvest(logs[0])
    assert 0.9 * SMALL.target < counted.useful <= counted.harvested <= counted.requests
    assert np.all(np.diff(counted.days) >= 0)


def test_honest_accounts_are_the_same_whoever_attacks(tmp_path: Path, logs: tuple[Path, Path, object]) -> None:
    other = replace(KNOWN["stealth"], neighbours=0)
    simulate("w", tmp_path / "other", seed=5, known={"w": scenario(SMALL, other)})
    free, theirs = harvest(logs[0]), harvest(tmp_path / "other")
    honest = {one: n for one, n in free.by_account.items() if one not in free.members}
    assert honest == {one: n for one, n in theirs.by_account.items() if one not in theirs.members}


def test_a_source_of_more_users_than_the_bound_allows_would_be_significant() -> None:
    from clonewatch.kernels.rarity import lower_tail

    for trusted in (0.05, 0.1, 0.2, 0.4):
        most = below(trusted, ALONE)
        assert lower_tail(most, 0, trusted) < ALONE <= lower_tail(most + 1, 0, trusted) + 1e-9
    assert below(0.2, LINKS) == 5  # fewer than six users never begin to link


def test_the_table_of_the_bound_gets_dearer_as_thresholds_get_lower() -> None:
    lines = table((0.1, 0.2), 25_000, CARDS)
    assert len(lines) == 6
    assert [line.sources for line in lines[3:]] == [5000, 2500, 334]
    assert lines[3].usd > lines[4].usd > lines[5].usd
    with pytest.raises(ValueError, match="between 0 and 1"):
        table((0.0,), 100, CARDS)


def test_who_shares_too_much_and_is_not_flagged_beats_the_bound() -> None:
    loud = Strategy(per_card=40.0, per_device=40.0)
    shared = Tried("loud", loud, 200, 500.0, 1000.0, flagged=False)
    assert [(one.name, one.shared) for one in check([shared], 0.2, CARDS)] == [("loud", ("addresses", "wordings"))]
    assert check([shared._replace(flagged=True)], 0.2, CARDS) == []
    quiet = Strategy(split=20, egress="own", per_card=1.0, per_device=1.0)
    assert check([shared._replace(strategy=quiet)], 0.2, CARDS) == []
    assert sizes(quiet, 200) == {"payment": 1, "devices": 1, "addresses": 1, "wordings": 10}
