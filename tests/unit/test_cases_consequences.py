"""Other systems carry measures out and take them back: they fail, answer late, and this process dies between."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.unit.appeals_stand import BOB, EVA, Recorder, Stand, at, begun
from tests.unit.test_cases_appeals import sound
from typer.testing import CliRunner

from clonewatch.cases.appeal_clock import run
from clonewatch.cases.appeals import Answer
from clonewatch.cases.consequence_file import ConsequenceFile
from clonewatch.cases.consequences import Done, carry_out, left
from clonewatch.cli.main import app
from clonewatch.ports.consequences import Consequence, Consequences


@pytest.fixture
def stand(tmp_path: Path) -> Stand:
    return begun(str(tmp_path / "cases.db"))


def still(stand: Stand, target: str = "gateway") -> list[tuple[str, str, int]]:
    """What is left to do: account, measure and tries."""
    with stand.store.reading() as held:
        found = left(held, target)
    return [(one.consequence.account, one.consequence.measure, one.tries) for one in found]


def test_overturning_takes_back_every_consequence_everywhere(place: tuple[str, Path]) -> None:
    stand, gateway, partner = begun(*place), Recorder(), Recorder("partner")
    targets: list[Consequences] = [gateway, partner]
    assert carry_out(stand.store, targets, BOB) == [Done("gateway", 4, 0, 0), Done("partner", 4, 0, 0)]
    assert carry_out(stand.store, targets, BOB) == [Done("gateway", 0, 0, 0), Done("partner", 0, 0, 0)]
    stand.appeal(0)
    stand.appeal(1)
    stand.decide("A0002", Answer("partial", "budget"))
    stand.decide("A0001", Answer("overturn"))
    assert carry_out(stand.store, targets, BOB) == [Done("gateway", 1, 1, 0), Done("partner", 1, 1, 0)]
    assert gateway.stands == partner.stands == {"a": "", "b": "budget", "c": "suspend", "d": "suspend"}
    with stand.store.writing() as change:
        run(change, at(EVA, "2026-06-06T09:00:00Z"))
    carry_out(stand.store, targets, BOB)
    assert set(gateway.stands.values()) == set(partner.stands.values()) == {""}
    sound(stand.store)


def test_what_failed_is_tried_again_and_the_others_are_not_held_up(stand: Stand) -> None:
    gateway, partner = Recorder(), Recorder("partner")
    carry_out(stand.store, [gateway, partner], BOB)
    stand.appeal(0)
    stand.decide("A0001", Answer("overturn", whole=True))
    gateway.failing = 3
    assert carry_out(stand.store, [gateway, partner], BOB) == [Done("gateway", 0, 1, 3), Done("partner", 0, 4, 0)]
    assert still(stand) == [("a", "", 2), ("b", "", 2), ("c", "", 2)]
    with stand.store.reading() as held:
        assert left(held, "gateway")[0].error == "ConnectionError: the gateway is away"
    assert carry_out(stand.store, [gateway], BOB) == [Done("gateway", 0, 3, 0)]
    assert still(stand) == [] and set(gateway.stands.values()) == {""}
    sound(stand.store)


class Killed(BaseException):
    """The end of a process in the middle of a call."""


def test_a_process_that_dies_between_call_and_record_leaves_the_call_to_the_next(stand: Stand) -> None:
    class Deadly(Recorder):
        def take_back(self, consequence: Consequence) -> None:
            super().take_back(consequence)
            raise Killed

    gateway = Recorder()
    carry_out(stand.store, [gateway], BOB)
    stand.appeal(0)
    stand.decide("A0001", Answer("overturn"))
    with pytest.raises(Killed):
        carry_out(stand.store, [Deadly()], BOB)
    assert still(stand) == [("a", "", 1)]
    assert carry_out(stand.store, [gateway], BOB) == [Done("gateway", 0, 1, 0)]
    assert gateway.stands["a"] == ""
    sound(stand.store)


def test_a_slow_call_does_not_undo_what_was_taken_back_meanwhile(stand: Stand) -> None:
    class Slow(Recorder):
        def apply(self, consequence: Consequence) -> None:
            if consequence.account == "a" and not self.calls:
                stand.appeal(0)
                stand.decide("A0001", Answer("overturn"))
                # Another process is quicker.
                carry_out(stand.store, [self], EVA)
                assert self.stands["a"] == ""
            super().apply(consequence)

    gateway = Slow()
    carry_out(stand.store, [gateway], BOB)
    assert gateway.calls.count(("apply", "a", "suspend", 2)) == 1, "it came, and late"
    assert gateway.stands == {"a": "", "b": "suspend", "c": "suspend", "d": "suspend"} and still(stand) == []
    sound(stand.store)


def test_many_accounts_are_asked_for_in_parts_and_a_failure_is_passed_over(tmp_path: Path) -> None:
    from tests.unit.appeals_stand import ANA, PLAN
    from tests.unit.cases_stand import filled, group

    from clonewatch.cases.arrivals import arrive
    from clonewatch.cases.changes import Decision, rule
    from clonewatch.cases.containments import ask, begin

    store, gateway = filled(str(tmp_path / "cases.db")), Recorder()
    with store.writing() as change:
        arrive(change, [group("C0009", [f"acct-{n}" for n in range(1_203)], last="2026-05-02")], "ana", ANA.at)
        rule(change, ["K0003"], Decision("confirmed"), ANA)
        ask(change, "K0003", PLAN, "seen", ANA)
        begin(change, "B0001", BOB)
    gateway.failing = 501
    assert carry_out(store, [gateway], BOB) == [Done("gateway", 702, 0, 501)]
    assert carry_out(store, [gateway], BOB) == [Done("gateway", 501, 0, 0)]
    assert len(gateway.stands) == 1_203
    sound(store)


def standing(file: Path) -> dict[str, str]:
    """What a system that follows a file of consequences does about each account: torn lines are passed over."""
    newest: dict[tuple[str, str], int] = {}
    measures: dict[str, str] = {}
    for line in file.read_bytes().splitlines():
        try:
            told = json.loads(line)
        except ValueError:
            continue
        key = (told["containment"], told["account"])
        if newest.get(key, 0) <= told["version"]:
            newest[key] = told["version"]
            measures[told["account"]] = told["measure"] if told["what"] == "apply" else ""
    return measures


def test_a_file_of_consequences_is_followed_line_by_line(stand: Stand, tmp_path: Path) -> None:
    file = tmp_path / "consequences.jsonl"
    assert carry_out(stand.store, [ConsequenceFile(file)], BOB) == [Done("file consequences.jsonl", 4, 0, 0)]
    assert standing(file) == dict.fromkeys("abcd", "suspend") and file.stat().st_mode & 0o777 == 0o600
    stand.appeal(0)
    stand.decide("A0001", Answer("overturn"))
    assert carry_out(stand.store, [ConsequenceFile(file)], BOB)[0][1:] == (0, 1, 0)
    assert standing(file) == {"a": "", "b": "suspend", "c": "suspend", "d": "suspend"}
    assert carry_out(stand.store, [ConsequenceFile(file)], BOB)[0][1:] == (0, 0, 0)
    assert len(file.read_bytes().splitlines()) == 5
    sound(stand.store)


def test_a_line_that_a_crash_cut_short_spoils_no_other(stand: Stand, tmp_path: Path) -> None:
    file = tmp_path / "consequences.jsonl"
    file.write_bytes(b'{"what": "apply", "contai')
    assert carry_out(stand.store, [ConsequenceFile(file)], BOB)[0][1:] == (4, 0, 0)
    assert standing(file) == dict.fromkeys("abcd", "suspend")


def test_the_command_writes_what_is_due_once(stand: Stand, tmp_path: Path) -> None:
    file = tmp_path / "out.jsonl"
    words = ["appeals", "carry-out", str(file), "--store", str(tmp_path / "cases.db"), "--as", "cron"]
    for said in ("4 applied, 0 taken back, 0 not written.", "0 applied, 0 taken back, 0 not written."):
        done = CliRunner().invoke(app, words)
        assert (done.exit_code, done.output.strip()) == (0, said)
    assert len(file.read_bytes().splitlines()) == 4
    nowhere = CliRunner().invoke(app, [*words[:2], str(tmp_path / "no" / "out.jsonl"), *words[3:]])
    assert nowhere.exit_code == 2 and "cannot write" in nowhere.output
    sound(stand.store)
