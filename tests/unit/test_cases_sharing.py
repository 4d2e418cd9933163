"""Documents of sharing in a store: proposed, approved by another, told, heard; and the log says the same."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import text, update
from tests.unit.cases_stand import ANA, BOB, filled

from clonewatch.cases import sharing
from clonewatch.cases.approvals import APPROVED, DECLINED, decide
from clonewatch.cases.changes import Decision, annotate, rule
from clonewatch.cases.records import Entry, encoded, entry
from clonewatch.cases.sentences import said
from clonewatch.cases.sharing import Document, Heard
from clonewatch.cases.store import Store
from clonewatch.cases.store_checking import check_store
from clonewatch.cases.tables import FEEDS, RELIED, SHARED
from clonewatch.model.errors import InputError, SetupError, StaleError

MADE = Document("11111111-1111-4111-8111-111111111111", 1, "new", "circle", "2026-12-20", '{"a":1}')
THEIRS = Document("22222222-2222-4222-8222-222222222222", 1, "new", "south", "2026-12-20", '{"b":1}')
SEEN = Heard(THEIRS.document, MADE.document, "south", "issuer_class", "prepaid", "2026-12-20", 15)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    held = filled(str(tmp_path / "cases.db"))
    with held.writing() as change:
        rule(change, ["K0001"], Decision("confirmed"), ANA)
    return held


def asked(store: Store) -> int:
    with store.writing() as change:
        return sharing.propose(change, "K0001", MADE, "asked for", ANA).request


def holds(store: Store) -> bool:
    with store.reading() as reading:
        return not check_store(reading).faults


def test_what_was_approved_by_another_leaves_as_it_was_asked_for(store: Store) -> None:
    number = asked(store)
    with store.writing() as change, pytest.raises(SetupError, match="it takes another person"):
        decide(change, number, APPROVED, ANA)
    with store.writing() as change, pytest.raises(SetupError, match=f"request {number} is waiting"):
        sharing.tell(change, number, "circle", ANA)
    with store.writing() as change:
        decide(change, number, APPROVED, BOB)
        kept = sharing.tell(change, number, "circle", ANA)
    assert (kept.body, kept.digest, kept.state, kept.request) == (MADE.body, MADE.digest, "told", number)
    with store.reading() as reading:
        entries = reading.history("K0001")
        assert [one.what for _, one in entries][-4:] == ["request", "propose", "approve", "export"]
        assert entries[-1][1].shared.digest == MADE.digest  # type: ignore[union-attr]
        assert said(entries[-1][1], "K0001") == "took out of the house: new, revision 1, circle"
    assert holds(store)
    with store.writing() as change, pytest.raises(InputError, match="nothing that waits"):
        sharing.tell(change, number, "circle", ANA)


def test_what_was_declined_or_changed_since_does_not_leave(store: Store) -> None:
    number = asked(store)
    with store.writing() as change:
        decide(change, number, DECLINED, BOB)
    with store.writing() as change, pytest.raises(SetupError, match="is declined"):
        sharing.tell(change, number, "circle", ANA)
    number = asked(store)
    with store.writing() as change:
        decide(change, number, APPROVED, BOB)
        rule(change, ["K0001"], Decision("needs_more"), BOB)
    with store.writing() as change, pytest.raises(StaleError, match="was changed since ana asked"):
        sharing.tell(change, number, "circle", ANA)
    assert holds(store)


def test_only_what_is_confirmed_is_asked_for(store: Store) -> None:
    with store.writing() as change, pytest.raises(SetupError, match="K0002 is not ruled confirmed"):
        sharing.propose(change, "K0002", MADE, "asked for", ANA)


def test_it_takes_one_person_to_take_back(store: Store) -> None:
    with store.writing() as change, pytest.raises(InputError, match="nothing was told about K0001"):
        sharing.take_back(change, "K0001", MADE._replace(revision=2, what="retraction"), ANA)
    number = asked(store)
    with store.writing() as change:
        decide(change, number, APPROVED, BOB)
        sharing.tell(change, number, "circle", ANA)
        gone = sharing.take_back(change, "K0001", MADE._replace(revision=2, what="retraction"), ANA)
        assert [one.what for one in sharing.told(change, "K0001")] == ["retraction", "new"] and gone.request == -1
    assert holds(store)


def test_what_came_in_counts_for_nothing_until_it_is_switched_on(store: Store) -> None:
    with store.writing() as change:
        sharing.hear(change, THEIRS, [SEEN], ANA)
        assert sharing.feeds(change) == {"south": "evaluation"}
        with pytest.raises(SetupError, match="south is not switched on"):
            sharing.rely(change, "K0001", THEIRS.document, ANA)
        sharing.switch(change, "south", sharing.ON, ANA)
        sharing.rely(change, "K0001", THEIRS.document, ANA)
        sharing.rely(change, "k0001", THEIRS.document, ANA)
        assert sharing.relied(change, "K0001") == (THEIRS.document,) and sharing.heard(change) == [SEEN]
        with pytest.raises(InputError, match="nothing came in as"):
            sharing.rely(change, "K0001", MADE.document, ANA)
        with pytest.raises(InputError, match="nothing came from 'west'"):
            sharing.switch(change, "west", sharing.ON, ANA)
    assert holds(store)


def test_a_newer_revision_replaces_an_older_one_and_names_the_cases_that_rest_on_it(store: Store) -> None:
    with store.writing() as change:
        sharing.hear(change, THEIRS, [SEEN], ANA)
        sharing.switch(change, "south", sharing.ON, ANA)
        sharing.rely(change, "K0001", THEIRS.document, ANA)
        # The same again is no news, an older or a stranger's word is refused.
        assert sharing.hear(change, THEIRS, [SEEN], ANA)[1] == ()
        with pytest.raises(StaleError, match="revision 1 of this came before"):
            sharing.hear(change, THEIRS._replace(body="{}"), [], ANA)
        with pytest.raises(InputError, match="another provider sent the first word"):
            sharing.hear(change, THEIRS._replace(revision=2, peer="west"), [], ANA)
        gone = SEEN._replace(withdrawn="mistake")
        _, cases = sharing.hear(change, THEIRS._replace(revision=2, what="retraction"), [gone], ANA)
        assert cases == ("K0001",) and sharing.heard(change) == [gone]
        assert change.history("K0001")[-1][1].shared.what == "retraction"  # type: ignore[union-attr]
        with pytest.raises(SetupError, match="its sender took it back"):
            sharing.rely(change, "K0002", THEIRS.document, ANA)
    assert holds(store)


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (update(SHARED).values(body="{}"), "is not what the log says of it"),
        (update(SHARED).values(peer="west"), "is not what the log says of it"),
        (text("delete from shared"), f"the document {THEIRS.document} is gone"),
        (update(FEEDS).values(state="off"), "whether the word of south counts is not what the log says"),
        (update(RELIED).values(document="x"), "what K0001 rests on is not what the log says"),
    ],
)
def test_a_table_that_somebody_changed_is_found(store: Store, change: object, fault: str) -> None:
    with store.writing() as writing:
        sharing.hear(writing, THEIRS, [SEEN], ANA)
        sharing.switch(writing, "south", sharing.ON, ANA)
        sharing.rely(writing, "K0001", THEIRS.document, ANA)
    with store.tending() as connection:
        connection.execute(change)  # type: ignore[call-overload]
    with store.reading() as reading:
        assert any(fault in one for one in check_store(reading).faults)


def test_an_entry_that_was_signed_before_there_was_sharing_is_spelled_as_it_was(store: Store) -> None:
    with store.writing() as change:
        annotate(change, "K0001", "asked sales", ANA)
    with store.reading() as reading:
        bodies = reading.log().entries
    assert all('"shared"' not in body for body in bodies)
    before = encoded(Entry("note", ANA.at, ANA.by, ("K0001",)))
    assert encoded(entry(before, 0)) == before and "shared" not in before
