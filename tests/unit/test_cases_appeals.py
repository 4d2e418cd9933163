"""From a containment to an answered appeal: two persons, links, attachments, outcomes, the clock, and the figures."""

from __future__ import annotations

import os
import re
import signal
import threading
from pathlib import Path

import pytest
from msgspec.structs import replace
from sqlalchemy import event, insert, text
from tests.unit.appeals_stand import ANA, BOB, EVA, HOLDER, PLAN, Stand, at, begun, planned, seen_again
from tests.unit.cases_stand import group

from clonewatch.cases import approvals, attachments, database
from clonewatch.cases.appeal_clock import Ended, in_force, run
from clonewatch.cases.appeal_figures import figures
from clonewatch.cases.appeals import Answer, appeal, decide, messages, of_holder, write
from clonewatch.cases.arrivals import arrive
from clonewatch.cases.attachments import MOST_BYTES, File
from clonewatch.cases.changes import Decision, rule
from clonewatch.cases.containments import Plan, ask, bearer, begin, containment, end, numbered, record, renew
from clonewatch.cases.measures import STANDING
from clonewatch.cases.notices import letter, statement
from clonewatch.cases.rulings import standing
from clonewatch.cases.store import Store, hashed, opened
from clonewatch.cases.store_checking import check_store
from clonewatch.cases.tables import HOLDERS
from clonewatch.dossier.envelope import spelled
from clonewatch.dossier.proofs import proofs, proved
from clonewatch.errors import ClonewatchError, InputError, SetupError, StaleError

PDF = File("../../letter\x00.pdf", b"%PDF-1.7 a letter")


@pytest.fixture
def stand(tmp_path: Path) -> Stand:
    return begun(str(tmp_path / "cases.db"))


def sound(store: Store) -> int:
    """Check that log and tables agree; returns the number of entries."""
    with store.reading() as held:
        found = check_store(held)
    assert found.faults == ()
    return found.size


def clock(stand: Stand, day: str) -> list[Ended]:
    with stand.store.writing() as change:
        return run(change, at(EVA, day))


# Two persons


def test_from_containment_to_overturned_appeal_and_not_again_on_the_same_evidence(place: tuple[str, Path]) -> None:
    stand = begun(*place)
    assert stand.states() == [("standing", "suspend")] * 4 and stand.held.until == "2026-06-05"
    made = stand.appeal(1, files=(PDF,))
    assert (made.appeal, made.state, made.deadline) == ("A0001", "open", "2026-05-21T09:00:00Z")
    assert stand.appeal(1, "one more thing", when="08").version == 2
    assert stand.decide("A0001", Answer("overturn")).state == "overturned"
    assert stand.states()[1] == ("overturned", "") and stand.states().count(("standing", "suspend")) == 3
    with stand.store.reading() as held:
        said = messages(held, appeal(held, "A0001"))
        assert [(m.speaker, m.text) for m in said] == [
            ("holder", "we are a school"),
            ("holder", "one more thing"),
            ("provider", "because we looked again"),
        ]
        (file,) = said[0].files
        assert (file.name, file.media_type, file.file_name) == (
            "letter.pdf",
            "application/pdf",
            f"attachment-{said[0].entry}-1.pdf",
        )
        assert attachments.content(held, file) == PDF.content
        rulings = {(a.ruled.ruling, tuple(sorted(a.accounts))) for a in standing(held) if a.ruled}
        assert rulings == {("confirmed", tuple("abcd")), ("innocent", ("b",))}
    with stand.store.writing() as change:
        rule(change, ["K0003"], Decision("confirmed"), ANA)
        with pytest.raises(
            SetupError, match=r"1 of these 1 accounts is cleared: B0001 was overturned .* same evidence"
        ):
            ask(change, "K0003", PLAN, "again", ANA)
    sound(stand.store)


def test_the_person_who_asked_does_not_approve_whatever_the_spelling(tmp_path: Path) -> None:
    store = planned(str(tmp_path / "cases.db"))
    for name in ("ana", "Ana"):
        with pytest.raises(SetupError, match="another person"), store.writing() as change:
            begin(change, "B0001", ANA._replace(by=name))
    with store.writing() as change:
        approvals.decide(change, containment(change, "B0001").request, approvals.APPROVED, BOB)
        held, links = begin(change, "B0001", ANA)
    assert held.begun_by == "bob" and [link.account for link in links] == list("abcd")
    with pytest.raises(StaleError, match=r"B0001 is standing since .*, by bob"), store.writing() as change:
        begin(change, "B0001", BOB)
    sound(store)


def test_what_was_declined_or_is_about_another_state_of_the_case_does_not_begin(tmp_path: Path) -> None:
    store = planned(str(tmp_path / "cases.db"))
    with store.writing() as change:
        arrive(change, [group("C0001", "abcde", last="2026-05-20")], "ana", ANA.at)
    with pytest.raises(StaleError, match="K0001 was changed since ana asked"), store.writing() as change:
        begin(change, "B0001", BOB)
    with store.writing() as change:
        approvals.decide(change, containment(change, "B0001").request, approvals.DECLINED, BOB)
    with pytest.raises(StaleError, match="was declined by bob"), store.writing() as change:
        begin(change, "B0001", EVA)
    sound(store)


@pytest.mark.parametrize(
    "plan",
    [
        PLAN._replace(measure="ban"),
        PLAN._replace(days=0),
        PLAN._replace(days=181),
        PLAN._replace(answer_days=31),
        PLAN._replace(ground=" "),
    ],
)
def test_a_plan_without_end_clock_or_ground_is_refused(tmp_path: Path, plan: Plan) -> None:
    store = planned(str(tmp_path / "cases.db"))
    with pytest.raises(SetupError), store.writing() as change:
        ask(change, "K0002", plan, "why", ANA)


def test_accounts_are_under_one_containment_at_a_time_and_it_can_be_ended_early(stand: Stand) -> None:
    with (
        pytest.raises(SetupError, match="4 of these 4 accounts are under B0001 already"),
        stand.store.writing() as change,
    ):
        ask(change, "K0001", PLAN, "again", ANA)
    with stand.store.writing() as change:
        end(change, "B0001", "too harsh", ANA)
        assert ask(change, "K0001", PLAN._replace(measure="verify"), "milder", ANA).containment == "B0002"
    assert stand.states() == [("ended", "")] * 4
    sound(stand.store)


# Links


def test_a_link_holds_for_its_account_and_its_secret_is_nowhere_in_the_store(stand: Stand, tmp_path: Path) -> None:
    with stand.store.reading() as held:
        assert [bearer(held, link.token, BOB.at).account for link in stand.links] == list("abcd")
    stored = b"".join(file.read_bytes() for file in tmp_path.glob("cases.db*"))
    assert not any(link.token.encode() in stored for link in stand.links)


def test_no_other_text_is_a_link(stand: Stand) -> None:
    token = stand.links[0].token
    with stand.store.reading() as held:
        for guess in (
            "",
            token[:-1],
            token + "A",
            token.swapcase(),
            "%",
            "' OR 1=1 --",
            "x" * 10_000,
            "\ud800",
            "B0001",
        ):
            with pytest.raises(InputError, match="this link does not hold"):
                bearer(held, guess, BOB.at)


def test_a_new_link_ends_the_old_one_and_all_end_after_half_a_year_unless_an_appeal_is_open(stand: Stand) -> None:
    with stand.store.writing() as change:
        new = renew(change, "B0001", "a", BOB)
    with stand.store.reading() as held:
        with pytest.raises(InputError, match="does not hold"):
            bearer(held, stand.links[0].token, BOB.at)
        assert bearer(held, new.token, "2026-11-05T08:00:00Z").account == "a"
        with pytest.raises(InputError, match="this link ended on 2026-11-05"):
            bearer(held, new.token, "2026-11-06T09:00:00Z")
    stand.appeal(1, when="2026-11-05T08:00:00Z")
    with stand.store.reading() as held:
        assert bearer(held, stand.links[1].token, "2026-11-06T09:00:00Z").account == "b"
    sound(stand.store)


# Attachments


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ([File("a.pdf", b"PK\x03\x04 a zip")], "of this kind is not taken"),
        ([File("a.pdf", b"\x1f\x8b\x08 a gzip")], "of this kind is not taken"),
        ([File("a.txt", b"a\x00b")], "of this kind is not taken"),
        ([File("a.png", b"GIF89a\x01\xff")], "of this kind is not taken"),
        ([File("a.txt", b"")], "of this kind is not taken"),
        ([File("a.pdf", b"%PDF-" + b"0" * MOST_BYTES)], "file 1 is too large"),
        ([File("a", b"a text")] * 6, "6 files are too many"),
        ([File("a.pdf", b"%PDF-" + b"0" * (MOST_BYTES - 5))] * 3, "too much for one appeal"),
    ],
    ids=["zip", "gzip", "binary", "gif", "empty", "large", "many", "together"],
)
def test_attachments_that_are_no_harmless_documents_or_too_much_are_refused(
    stand: Stand, files: list[File], said: str
) -> None:
    with pytest.raises(SetupError, match=said):
        stand.appeal(0, files=tuple(files))
    with stand.store.reading() as held:
        assert of_holder(held, numbered(held, "B0001", 0)) is None, "nothing of it was kept"


def test_an_appeal_is_bounded_over_all_of_its_messages(stand: Stand) -> None:
    large = File("a.pdf", b"%PDF-" + b"0" * (MOST_BYTES - 5))
    stand.appeal(0, files=(large, large))
    with pytest.raises(SetupError, match="too much for one appeal"):
        stand.appeal(0, files=(large,))
    with pytest.raises(SetupError, match="too long"):
        stand.appeal(0, "x" * 10_001)
    for _ in range(49):
        stand.appeal(0, "again")
    with pytest.raises(SetupError, match="too many messages"):
        stand.appeal(0, "again")
    sound(stand.store)


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("UPDATE holders SET state = 'ended', measure = '' WHERE number = 0", "the accounts under B0001 are not"),
        ("DELETE FROM holders WHERE number = 3", "the accounts under B0001 are not"),
        ("UPDATE containments SET until = '2027-01-01'", "B0001 is not what the log says"),
        ("UPDATE appeals SET deadline = '2027-01-01T00:00:00Z'", "A0001 is not what the log says"),
        ("DELETE FROM appeals", "A0001 is not what the log says"),
        ("UPDATE attachments SET content = X'25504446'", "the file .* was changed"),
        ("UPDATE attached SET number = 2", "the files of entry 7 are not"),
        ("INSERT INTO carried VALUES ('B0001', 0, 'gateway', 9, 1, '', '')", "gateway is said to have done more"),
    ],
)
def test_whatever_is_changed_beside_the_log_is_found(stand: Stand, sql: str, said: str) -> None:
    stand.appeal(0, files=(PDF,))
    sound(stand.store)
    with database.opened(stand.store.where).begin() as connection:
        connection.execute(text(sql))
    with stand.store.reading() as held:
        (fault,) = check_store(held).faults
    assert re.search(said, fault)


# Outcomes


def test_whoever_asked_may_overturn_or_ask_and_nothing_else(stand: Stand) -> None:
    stand.appeal(0)
    for answer in (Answer("uphold"), Answer("partial", "verify"), Answer("conditional", by="2026-05-20")):
        with pytest.raises(SetupError, match="asked for this measure"):
            stand.decide("A0001", answer, ANA._replace(by="ANA"))
    stand.decide("A0001", Answer("ask", by="2026-05-20"), ANA)
    assert stand.decide("A0001", Answer("overturn"), ANA).state == "overturned"


def test_an_upheld_appeal_is_closed_and_is_overturned_later_only_by_who_saw_that(stand: Stand) -> None:
    stand.appeal(0)
    assert stand.decide("A0001", Answer("uphold")).state == "upheld"
    assert stand.states() == [("standing", "suspend")] * 4
    with pytest.raises(SetupError, match="this appeal was answered: upheld"):
        stand.appeal(0, "please")
    with pytest.raises(StaleError, match=r"eva answered it on .*: uphold"):
        stand.decide("A0001", Answer("overturn"), BOB)
    assert stand.decide("A0001", Answer("overturn"), BOB, version=2).state == "overturned"
    sound(stand.store)


def test_a_partial_answer_leaves_a_milder_measure(stand: Stand) -> None:
    stand.appeal(0)
    with pytest.raises(SetupError, match="no milder measure"):
        stand.decide("A0001", Answer("partial", "suspend"))
    assert stand.decide("A0001", Answer("partial", "verify")).measure == "verify"
    assert stand.states()[0] == ("lessened", "verify")
    clock(stand, "2026-06-06T09:00:00Z")
    assert stand.states() == [("ended", "")] * 4
    sound(stand.store)


def test_a_condition_is_recorded_as_met_or_not_or_the_measure_lapses(stand: Stand) -> None:
    for number in range(3):
        stand.appeal(number)
        held = stand.decide(f"A000{number + 1}", Answer("conditional", by="2026-05-20"))
        assert (held.state, held.deadline) == ("conditional", "2026-06-03T23:59:59Z")
    stand.appeal(0, "here is the contract", when="19")
    stand.decide("A0001", Answer("overturn"), when="20")
    stand.decide("A0002", Answer("uphold"), when="21")
    assert clock(stand, "2026-06-04T09:00:00Z") == [Ended("B0001", "lapsed", 1, "A0003")]
    assert [state for state, _ in stand.states()] == ["overturned", "standing", "lapsed", "standing"]
    sound(stand.store)


def test_the_clock_stands_still_while_the_holder_is_asked_at_most_twice(stand: Stand) -> None:
    first = stand.appeal(0).deadline
    asked = stand.decide("A0001", Answer("ask", by="2026-05-17"), when="08")
    assert (asked.state, first, asked.deadline) == ("waiting", "2026-05-21T09:00:00Z", "2026-05-30T23:59:59Z")
    with pytest.raises(SetupError, match="asked often enough"):
        stand.decide("A0001", Answer("ask", by="2026-05-18"), when="09")
    replied = stand.appeal(0, "the classes are 5a to 10c", when="10")
    assert (replied.state, replied.deadline) == ("open", "2026-05-23T09:00:00Z"), "two days were spent waiting"
    stand.decide("A0001", Answer("ask", by="2026-05-17"), when="11")
    stand.appeal(0, "so what", when="12")
    with pytest.raises(SetupError, match="asked often enough"):
        stand.decide("A0001", Answer("ask", by="2026-05-18"), when="13")
    for day in ("", "2026-05-01", "2026-09-01"):
        with pytest.raises(SetupError):
            stand.decide("A0001", Answer("conditional", by=day), when="13")


def test_an_overturned_containment_frees_all_accounts_and_answers_their_appeals(stand: Stand) -> None:
    stand.appeal(0)
    stand.appeal(1)
    stand.appeal(2)
    stand.decide("A0003", Answer("uphold"))
    stand.decide("A0001", Answer("overturn", whole=True, explanation="class_or_event"))
    assert stand.states() == [("overturned", "")] * 4
    with stand.store.reading() as held:
        assert [appeal(held, f"A000{n}").state for n in (1, 2, 3)] == ["overturned", "overturned", "upheld"]
        assert held.case("K0001").ruling is not None and held.case("K0001").size == 4
        (told,) = standing(held)
        assert told.question == "class_or_event" and told.accounts == frozenset("abcd")
    sound(stand.store)


# The clock


def test_what_nobody_answers_lapses_and_stays_so(stand: Stand) -> None:
    stand.appeal(2)
    assert clock(stand, "21") == [], "the last second is in time"
    with stand.store.reading() as held:
        assert len(in_force(held, "2026-05-21T09:00:00Z")) == 4
        assert [h.account for h in in_force(held, "2026-05-21T09:00:01Z")] == ["a", "b", "d"], "before the clock is run"
        assert in_force(held, "2026-06-06T00:00:00Z") == []
    with pytest.raises(StaleError, match="had to be answered by 2026-05-21T09:00:00Z: the measure has lapsed"):
        stand.decide("A0001", Answer("uphold"), when="22")
    assert clock(stand, "22") == [Ended("B0001", "lapsed", 1, "A0001")]
    assert clock(stand, "22") == [] and stand.states()[2] == ("lapsed", "")
    assert clock(stand, "2026-06-06T09:00:00Z") == [Ended("B0001", "ended", 3)]
    with (
        stand.store.writing() as change,
        pytest.raises(SetupError, match="1 of these 4 accounts is cleared: B0001 was lapsed"),
    ):
        ask(change, "K0001", PLAN, "again", ANA)
    assert stand.decide("A0001", Answer("overturn"), when="2026-06-07T09:00:00Z", version=2).state == "overturned"
    sound(stand.store)


def test_accounts_that_are_ruled_innocent_are_lifted_and_cleared(stand: Stand) -> None:
    with stand.store.writing() as change:
        rule(change, ["K0001"], Decision("innocent", "one_customer"), at(BOB, "10"))
    assert clock(stand, "11") == [Ended("B0001", "lifted", 4)]
    with stand.store.writing() as change:
        rule(change, ["K0001"], Decision("confirmed"), at(BOB, "12"))
        with pytest.raises(SetupError, match="4 of these 4 accounts are cleared"):
            ask(change, "K0001", PLAN, "again", ANA)
    sound(stand.store)


def test_only_other_evidence_lets_a_cleared_account_be_contained_again(stand: Stand) -> None:
    stand.appeal(0)
    stand.decide("A0001", Answer("overturn", whole=True))
    with stand.store.writing() as change:
        # More accounts are no news about those that were cleared.
        arrive(change, [group("C0001", "abcdefgh", last="2026-05-19")], "ana", ANA.at)
        rule(change, ["K0001"], Decision("confirmed"), ANA)
        with pytest.raises(SetupError, match="4 of these 8 accounts are cleared: B0001 was overturned"):
            ask(change, "K0001", PLAN, "again", ANA)
    seen_again(stand.store, families=("identity", "load", "content"))
    with stand.store.writing() as change:
        assert ask(change, "K0001", PLAN, "other evidence", ANA).containment == "B0002"
        begin(change, "B0002", BOB)
        assert figures(change, "2026-05-01", "2026-05-31", BOB.at).re_actions == 0


# At once, and killed


def test_two_people_who_answer_at_once_give_one_answer_and_one_of_them_is_told(place: tuple[str, Path]) -> None:
    stand = begun(*place)
    stand.appeal(0)
    said: list[str] = []
    ready = threading.Barrier(2)

    def answer(name: str, outcome: str) -> None:
        own = opened(place[0], place[1])
        ready.wait()
        try:
            with own.writing() as change:
                decide(change, "A0001", Answer(outcome), "because", at(EVA._replace(by=name), "08"))
            said.append(f"{outcome} by {name}")
        except StaleError as error:
            said.append(str(error))

    both = [threading.Thread(target=answer, args=pair) for pair in (("eva", "uphold"), ("bob", "overturn"))]
    for one in both:
        one.start()
    for one in both:
        one.join()
    won, told = sorted(said, key=len)
    outcome, _, name = won.partition(" by ")
    assert f"{name} answered it on 2026-05-08: {outcome}" in told
    with stand.store.reading() as held:
        assert (appeal(held, "A0001").outcome, appeal(held, "A0001").version) == (outcome, 2)
    sound(stand.store)


def killed_at(stand: Stand, key: Path, last: int) -> bool:
    """Overturn in a process that is killed before its statement of this number; whether it was."""
    child = os.fork()
    if not child:
        engine, done = database.opened(stand.store.where), [0]

        def step(*_: object) -> None:
            done[0] += 1
            if done[0] == last:
                os.kill(os.getpid(), signal.SIGKILL)

        event.listen(engine, "before_cursor_execute", step)
        event.listen(engine, "commit", step)
        with Store(stand.store.where, engine, key).writing() as change:
            decide(change, "A0001", Answer("overturn"), "because", at(EVA, "08"))
        os._exit(0)
    ended = os.waitpid(child, 0)[1]
    assert os.WIFSIGNALED(ended) or os.WEXITSTATUS(ended) == 0
    return os.WIFSIGNALED(ended)


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_killed_at_any_moment_an_overturned_appeal_is_all_there_or_not_at_all(stand: Stand, tmp_path: Path) -> None:
    stand.appeal(0)
    before, size, killed = stand.states(), sound(stand.store), 0
    while killed_at(stand, tmp_path / "cases.db.key", killed + 1):
        killed += 1
        assert stand.states() == before and sound(stand.store) == size
    assert killed > 20 and stand.states()[0] == ("overturned", "") and sound(stand.store) == size + 3


# What is told, and counted


def test_a_notice_tells_kinds_of_evidence_and_no_value_threshold_or_other_account(stand: Stand) -> None:
    with stand.store.reading() as held:
        told = statement(bearer(held, stand.links[0].token, BOB.at), "https://console.example/appeal#SECRET")
    said = letter(told)
    facts = told["decision_facts"]
    assert facts["seen"] == [
        "sign-up or payment details that several accounts have in common",
        "use that is spread over the accounts evenly",
    ]
    assert len(facts["seen"]) + len(facts["not_seen"]) == 16 and "that anything was used to train a model" in said
    assert (told["application_date"], told["end_date"]) == ("2026-05-06", "2026-06-05")
    assert told["automated_decision"] == "AUTOMATED_DECISION_NOT_AUTOMATED" and told["automated_detection"] == "Yes"
    assert told["incompatible_content_ground"] == PLAN.ground and PLAN.ground in said
    assert "https://console.example/appeal#SECRET" in said and "appeal up to 2026-11-05" in said
    for secret in ("4.0", "bits", "odds", "K0001", "C0001", "ana", "bob", "seen twice"):
        assert secret not in said and secret not in str(told)
    assert facts["group"] == "one of a few accounts that appear to be run as one, without having said so"


def test_what_a_holder_wrote_does_not_leave_the_house_with_a_dossier(stand: Stand) -> None:
    stand.appeal(0)
    stand.decide("A0001", Answer("uphold"))
    with stand.store.reading() as held:
        told = spelled(proofs(held, "K0001")).decode()
    assert "we are a school" not in told and "because we looked again" not in told and "seen twice" in told
    assert {"appeal", "decide"} <= {entry.what for entry in proved(told.encode()).entries.values()}


def test_figures_count_what_they_say(stand: Stand) -> None:
    for number in range(4):
        stand.appeal(number)
    stand.decide("A0001", Answer("overturn"), when="08")
    stand.decide("A0002", Answer("uphold"), when="10")
    with stand.store.reading() as held:
        found = figures(held, "2026-05-06", "2026-05-31", "2026-05-22T09:00:00Z")
        assert figures(held, "2026-06-01", "2026-06-30", "2026-05-22T09:00:00Z").overturn_rate is None
    assert (found.containments, found.accounts, found.received, found.answered) == (1, 4, 4, 2)
    assert (found.overturn_rate, found.days_to_answer_median, found.days_to_answer_longest) == (0.5, 2.0, 3.0)
    assert (found.open, found.open_past_deadline, found.lapsed, found.re_actions) == (2, 2, 0, 0)
    clock(stand, "22")
    with stand.store.reading() as held:
        found = figures(held, "2026-05-06", "2026-05-31", "2026-05-22T09:00:00Z")
    assert (found.open, found.open_past_deadline, found.lapsed) == (0, 0, 2)


def test_an_account_that_is_acted_on_again_is_counted(stand: Stand) -> None:
    """Past the refusal, as a fault or another program would."""
    stand.appeal(0)
    stand.decide("A0001", Answer("overturn"))
    with stand.store.writing() as change:
        fresh = {"containment": "B0002", "version": 1, "apart": (), "begins": "2026-05-20T09:00:00Z"}
        again = replace(containment(change, "B0001"), **fresh)
        record(change, "contain", BOB, again.case, held=again)
        rows = [{"number": n, "account": hashed(a), "token": f"{n}"} for n, a in enumerate("abcd")]
        common = {"containment": "B0002", "state": STANDING, "measure": "suspend", "version": 1, "token_until": ""}
        change.connection.execute(insert(HOLDERS), [row | common for row in rows])
    with stand.store.reading() as held:
        assert figures(held, "2026-05-10", "2026-05-31", BOB.at).re_actions == 1


def test_what_cannot_be_is_said_without_a_traceback(stand: Stand) -> None:
    with stand.store.writing() as change:
        for name in ("A9999", "B9999", ""):
            with pytest.raises(InputError):
                appeal(change, name)
            with pytest.raises(InputError):
                containment(change, name)
        with pytest.raises(ClonewatchError):
            write(change, numbered(change, "B0001", 0), " ", HOLDER)
    stand.appeal(0)
    with pytest.raises(SetupError, match="there is no outcome"):
        stand.decide("A0001", Answer("maybe"))
