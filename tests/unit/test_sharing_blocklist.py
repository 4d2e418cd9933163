"""Lists for bouncers: networks and TLS only, with an end and an origin, taken back when they are withdrawn."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
from tests.unit.release_stand import correction, indicator, release, retraction

from clonewatch.model.errors import SetupError
from clonewatch.sharing.formats.blocklist import ACTIONS, decisions, write_blocklist

NOW = datetime(2026, 11, 20, 12, 30, tzinfo=UTC)
FIELDS = {"id", "uuid", "origin", "scenario", "scope", "type", "value", "duration"}


def test_only_networks_and_tls_are_enforced_each_with_duration_and_origin() -> None:
    made = decisions(release(), NOW)
    assert made["deleted"] == [] and all(set(one) == FIELDS for one in made["new"])
    assert [(one["scope"], one["value"], one["duration"]) for one in made["new"]] == [
        ("tls", "ja4:t13d1516h2_8daaf6152771_02713d6af862", "131h30m0s"),
        ("Range", "192.88.99.0/24", "131h30m0s"),
        ("AS", "64500", "131h30m0s"),
        ("Range", "2620:4f:8000::/48", "131h30m0s"),
        ("tls", "ja3:" + "c3" * 16, "131h30m0s"),
    ]
    assert {(one["origin"], one["type"]) for one in made["new"]} == {("clonewatch:provider-a", "throttle")}
    assert len({one["id"] for one in made["new"]}) == 5 and all(0 <= one["id"] < 2**53 for one in made["new"])


def test_what_is_withdrawn_is_taken_back_under_the_same_id() -> None:
    first = decisions(release(), NOW)["new"]
    held = tuple(
        msgspec.structs.replace(i, withdrawn="mistake") if i.kind == "network" else i for i in release().indicators
    )
    corrected = decisions(msgspec.structs.replace(correction(), indicators=held), NOW)
    assert [one["id"] for one in corrected["deleted"]] == [one["id"] for one in first if one["scope"] != "tls"]
    assert [one["scope"] for one in corrected["new"]] == ["tls", "tls"]
    retracted = decisions(retraction(), NOW)
    assert retracted["new"] == [] and [o["id"] for o in retracted["deleted"]] == [one["id"] for one in first]


def test_what_ended_has_not_begun_or_is_too_weak_is_left_out() -> None:
    assert decisions(release(), datetime(2026, 11, 26, tzinfo=UTC))["new"] == []
    assert decisions(release(), datetime(2026, 11, 16, 23, tzinfo=UTC))["new"] == []
    assert len(decisions(release(), datetime(2026, 11, 25, 23, 59, 58, tzinfo=UTC))["new"]) == 5
    assert decisions(release(), NOW, floor=61)["new"] == [] and len(decisions(release(), NOW, floor=60)["new"]) == 5
    early = release(until="2026-11-21")
    assert {one["duration"] for one in decisions(early, NOW)["new"]} == {"35h30m0s"}


@pytest.mark.parametrize("pap", ["AMBER", "RED"])
def test_nothing_is_enforced_that_may_only_be_looked_for(pap: str) -> None:
    with pytest.raises(SetupError, match="that others notice"):
        decisions(release(pap=pap), NOW)


def test_a_single_host_and_an_unknown_action_are_refused() -> None:
    with pytest.raises(SetupError, match="at most 24 bits"):
        decisions(release(indicators=(indicator(1, "network", "192.0.2.7/32"),)), NOW)
    with pytest.raises(SetupError, match="throttle, captcha, ban") as error:
        decisions(release(), NOW, action="shame")
    assert all(action in error.value.fix for action in ACTIONS)


def test_a_list_is_written_as_json(tmp_path: Path) -> None:
    assert write_blocklist(release(), tmp_path / "list.json", NOW, action="ban") == 5
    assert json.loads((tmp_path / "list.json").read_text()) == decisions(release(), NOW, action="ban")
