"""Two providers: one tells and takes back, the other tries, rests on it too, and lifts what rests on it."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pyarrow as pa
import pytest
from tests.property.test_release_properties import Kept, rows
from tests.unit.kept_results import results
from tests.unit.sharing_stand import GROUP, TEMPLATE, TODAY, chosen, indicator, release, settings, uuid

from clonewatch.cases import sharing
from clonewatch.cases.appeals import Answer
from clonewatch.cases.appeals import decide as answer
from clonewatch.cases.appeals import write as appeal
from clonewatch.cases.arrivals import arrive, groups
from clonewatch.cases.changes import Decision, Who, rule
from clonewatch.cases.containments import Plan, ask, bearer, begin, containment
from clonewatch.cases.records import Case
from clonewatch.cases.sharing import Heard
from clonewatch.cases.store import Store, opened
from clonewatch.cases.store_checking import check_store
from clonewatch.model import schema
from clonewatch.model.errors import InputError, SetupError
from clonewatch.peering import arriving, corrections, releasing, speaking, trial
from clonewatch.peering.proposing import Order
from clonewatch.pipeline.scan_result import read_summary, table_paths
from clonewatch.sharing import warning_lists, word
from clonewatch.sharing.release import decoded, encoded

ANA, BOB, EVA = (Who(name, f"{TODAY}T09:10:00Z") for name in ("ana", "bob", "eva"))
KEY = bytes(range(32))
LISTS = warning_lists.read()
SEEN = "8.8.4.0/24"


class Side(NamedTuple):
    """A provider: its store, in which K0001 is confirmed, and its result."""

    store: Store
    result: Path
    folder: Path
    name: str

    def tell(self) -> sharing.Kept:
        """Tell of K0001."""
        order = Order("K0001", self.result, chosen(self.folder, self.name), KEY)
        kept, _ = releasing.ask(self.store, order, "asked for", ANA)
        releasing.approve(self.store, kept.request, "approved", BOB)
        return releasing.export(self.store, kept.request, order.settings, self.out, ANA)

    @property
    def out(self) -> Path:
        return self.folder / "out"

    def contain(self) -> tuple[str, str]:
        """Begin a measure against K0001; returns its id and the token of an account."""
        with self.store.writing() as change:
            planned = ask(change, "K0001", Plan("budget", "Section 4"), "seen twice", ANA)
            begun, links = begin(change, planned.containment, BOB)
        return begun.containment, links[0].token

    def overturn(self, token: str) -> None:
        """An appeal is right, for all accounts of the measure."""
        with self.store.writing() as change:
            made = appeal(change, bearer(change, token, EVA.at), "we are a school", EVA)
            answer(change, made.appeal, Answer("overturn", whole=True), "they are", EVA)


def side(folder: Path, name: str) -> Side:
    folder.mkdir()
    (result,) = results(folder, 24, families=("harvest", "identity"))
    store = opened(str(folder / "cases.db"), create=True)
    with store.writing() as change:
        arrive(change, groups(table_paths(result), read_summary(result)), ANA.by, ANA.at)
        rule(change, ["K0001"], Decision("confirmed"), ANA)
    return Side(store, result, folder, name)


@pytest.fixture
def north(tmp_path: Path) -> Side:
    return side(tmp_path / "north", "north")


@pytest.fixture
def south(tmp_path: Path) -> Side:
    return side(tmp_path / "south", "south")


def holds(*sides: Side) -> bool:
    found = []
    for one in sides:
        with one.store.reading() as store:
            found += check_store(store).faults
    return found == []


def take(at: Side, *paths: Path, peer: str = "north") -> list[arriving.Taken]:
    return arriving.take_in_files(at.store, paths, peer, LISTS, ANA)


def rely(at: Side, document: str, peer: str = "north") -> None:
    with at.store.writing() as change:
        sharing.switch(change, peer, sharing.ON, ANA)
        sharing.rely(change, "K0001", document, ANA)


def test_what_leaves_is_what_was_shown_asked_for_and_approved(north: Side) -> None:
    order = Order("K0001", north.result, chosen(north.folder), KEY)
    shown = releasing.show(north.store, order, ANA)
    kept = north.tell()
    (path,) = north.out.iterdir()
    assert path.read_text() == shown.told["bytes"] == kept.body and path.name == f"{kept.document}.1.json"
    made = decoded(path.read_bytes())
    assert {one.kind for one in made.indicators} <= {"behaviour", "timing"} and made.sender == "north"
    # The case, its accounts and its counts are nowhere in it.
    assert not [word for word in ("K0001", "C1", "acct", "ana", "bob", "20") if f'"{word}"' in kept.body]
    assert holds(north)


def test_another_revision_keeps_the_ids_of_what_was_told_before(north: Side) -> None:
    first, second = decoded(north.tell().body.encode()), decoded(north.tell().body.encode())
    assert (second.id, second.revision, second.what, second.reason) == (first.id, 2, "correction", "replaced")
    assert [one.id for one in second.indicators] == [one.id for one in first.indicators]


def test_what_the_gate_refuses_is_not_even_asked_for(north: Side) -> None:
    made = chosen(north.folder)._replace(tlp="CLEAR")
    with pytest.raises(SetupError, match="goes no wider than TLP:AMBER"):
        releasing.ask(north.store, Order("K0001", north.result, made, KEY), "asked for", ANA)
    with north.store.reading() as store:
        assert sharing.documents(store) == []


def test_a_change_of_the_law_stops_what_was_approved(north: Side) -> None:
    order = Order("K0001", north.result, chosen(north.folder), KEY)
    kept, _ = releasing.ask(north.store, order, "asked for", ANA)
    releasing.approve(north.store, kept.request, "approved", BOB)
    rule_ = msgspec.structs.replace(order.settings.rules["none"], as_of="2026-11-20")
    later = order.settings._replace(rules={**order.settings.rules, "none": rule_})
    with pytest.raises(SetupError, match="the release gate refuses it now: basis"):
        releasing.export(north.store, kept.request, later, north.out, ANA)
    assert not north.out.exists()


def test_an_overturn_here_ends_the_measure_there_by_itself(north: Side, south: Side) -> None:
    kept = north.tell()
    (taken,) = take(south, north.out)
    assert taken.news and taken.indicators and take(south, north.out)[0].news is False
    rely(south, kept.document)
    name, _ = south.contain()
    _, token = north.contain()
    north.overturn(token)
    (gone,) = corrections.retract_due(north.store, chosen(north.folder), north.out, ANA)
    assert (gone.what, gone.revision) == ("retraction", 2)
    assert corrections.retract_due(north.store, chosen(north.folder), north.out, ANA) == []
    told = take(south, north.out)
    assert [(one.what, one.cases, one.ended) for one in told if one.news] == [("retraction", ("K0001",), (name,))]
    with south.store.reading() as store:
        assert containment(store, name).state == "ended"
        assert {one.withdrawn for one in sharing.heard(store)} == {"appeal_upheld"}
    assert holds(north, south)


def test_a_measure_that_rests_on_nothing_of_others_stands(north: Side, south: Side) -> None:
    north.tell()
    take(south, north.out)
    name, _ = south.contain()
    releasing.retract(north.store, "K0001", "mistake", chosen(north.folder), north.out, ANA)
    assert [one.ended for one in take(south, north.out) if one.news] == [()]
    with south.store.reading() as store:
        assert containment(store, name).state == "standing"


def test_a_case_that_was_ruled_innocent_is_taken_back_and_one_that_was_not_told_is_not(north: Side) -> None:
    with north.store.writing() as change:
        rule(change, ["K0001"], Decision("innocent", "one_customer"), ANA)
    assert corrections.retract_due(north.store, chosen(north.folder), north.out, ANA) == []
    with pytest.raises(SetupError, match="nothing was told of K0001"):
        releasing.retract(north.store, "K0001", "mistake", chosen(north.folder), north.out, ANA)
    with north.store.writing() as change:
        rule(change, ["K0001"], Decision("confirmed"), ANA)
    north.tell()
    with north.store.writing() as change:
        rule(change, ["K0001"], Decision("innocent", "one_customer"), ANA)
    (gone,) = corrections.retract_due(north.store, chosen(north.folder), north.out, ANA)
    assert decoded(gone.body.encode()).reason == "ruled_innocent"


def test_both_sides_follow_until_they_are_stopped(north: Side, south: Side) -> None:
    kept = north.tell()
    stop, told, came, wrong = threading.Event(), list[sharing.Kept](), list[arriving.Taken](), list[str]()

    def here() -> None:
        corrections.follow(north.store, chosen(north.folder), north.out, lambda: ANA, told.append, wrong.append, stop)

    def there() -> None:
        arriving.follow(south.store, north.out, "north", LISTS, lambda: ANA, came.append, wrong.append, stop)

    threads = [threading.Thread(target=run) for run in (here, there)]
    for one in threads:
        one.start()
    _, token = north.contain()
    north.overturn(token)
    for _ in range(600):
        if any(one.what == "retraction" for one in came):
            break
        stop.wait(0.1)
    stop.set()
    for one in threads:
        one.join(60)
    assert [one.document for one in told] == [kept.document] and [one.what for one in came] == ["new", "retraction"]
    assert wrong == []


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({"sender": "west"}, "its sender is 'west', and 'north' gave it"),
        ({"statement": "we all refuse them"}, "each recipient decides alone"),
        ({"until": "2026-11-01"}, "ended on 2026-11-01"),
        ({"made_at": "2027-11-28T09:00:00Z"}, "in days to come"),
        ({"id": "17"}, "its id is no UUID"),
        ({"revision": 0}, "its revision is out of bounds"),
        ({"indicators": (indicator(0, "network", "8.8.8.8/32"),)}, "at most 24 bits"),
        ({"indicators": (indicator(0, "price", "9"),)}, "there is no kind 'price'"),
        ({"indicators": (indicator(0, "issuer_class", "gift"),) * 2}, "or is there twice"),
        ({"indicators": (indicator(0, "issuer_class", "gift", confidence=900),)}, "not from 0 to 100"),
    ],
)
def test_a_release_that_is_wrong_is_refused_as_a_whole(south: Side, other: dict[str, Any], said: str) -> None:
    with pytest.raises(SetupError, match=said):
        arriving.take_in(south.store, encoded(release(**other)), "north", LISTS, ANA)
    with south.store.reading() as store:
        assert sharing.documents(store) == [] and sharing.heard(store) == []


def test_a_file_that_is_broken_stops_no_other(south: Side, tmp_path: Path) -> None:
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    (inbox / "a.json").write_bytes(b"{")
    (inbox / "b.json").write_bytes(encoded(release()))
    (inbox / "c.json").write_bytes(encoded(release()).replace(b'"tlp"', b'"price":9,"tlp"'))
    assert [bool(one.refused) for one in take(south, inbox)] == [True, False, True]
    with pytest.raises(InputError, match="cannot read it"):
        take(south, tmp_path / "gone.json")


def test_a_retraction_is_taken_though_it_is_over_and_in_other_words(south: Side) -> None:
    arriving.take_in(south.store, encoded(release()), "north", LISTS, ANA)
    gone = release(revision=2, what="retraction", until="2026-11-01", reason="whatever they call it")
    told = arriving.take_in(south.store, encoded(gone), "north", LISTS, ANA)
    with south.store.reading() as store:
        assert told.news and {one.withdrawn for one in sharing.heard(store)} == {"mistake"}


def test_warning_lists_come_first_and_what_the_operator_says_wins(tmp_path: Path) -> None:
    assert LISTS.warning("network", "8.8.8.0/24") == "public-dns-v4" and LISTS.warning("network", "AS13335")
    assert LISTS.warning("network", "162.158.0.0/15") and LISTS.warning("network", "2606:4700::/32")
    assert LISTS.warning("mail_domain", "mail.mit.edu") == "university_domains"
    assert LISTS.warning("mail_domain", "some-vendor.example") == "not-disposable-mail"
    assert LISTS.warning("mail_domain", "mailinator.com") == "" and LISTS.warning("issuer_class", "prepaid") == ""
    (tmp_path / "overrides.toml").write_text(
        'schema = "clonewatch.overrides.v1"\n'
        '[[overrides]]\nkind = "network"\nvalue = "8.8.8.0/24"\nuse = "allow"\nwhy = "seen here"\n'
        '[[overrides]]\nkind = "issuer_class"\nvalue = "gift"\nuse = "never"\nwhy = "our own cards"\n'
    )
    own = warning_lists.read(tmp_path)
    assert own.warning("network", "8.8.8.0/24") == "" and own.warning("issuer_class", "gift") == "never"
    (tmp_path / "overrides.toml").write_text('schema = "clonewatch.overrides.v1"\noverride = 3\n')
    with pytest.raises(SetupError, match="these are no overrides"):
        warning_lists.read(tmp_path)


def log() -> tuple[pa.RecordBatch, pa.Table]:
    """Six accounts: all of one client; a, b, c, d from one network, which is not e's and f's."""
    made = [
        {
            "exchange_id": f"x{n}",
            "ts": 1_000_000 * n,
            "account_id": name,
            "client_ip": "8.8.4.9" if name < "e" else "9.9.9.9",
            "tls_fingerprint": "t13d1516h2_8daaf6152771_e5627efa2ab1",
            "messages": json.dumps([{"role": "user", "content": f"Name three rivers of Peru and {name}"}]),
        }
        for n, name in enumerate("abcdef")
    ]
    held = rows(schema.EXCHANGES, made)
    names = [name for name in held.column_names if held[name].null_count < len(held)]
    (batch,) = held.select(names).combine_chunks().to_batches()
    known = [{"account_id": name, "anchor": name in "de", "email_domain": "mailbox.example"} for name in "abcdef"]
    return batch, rows(schema.ACCOUNTS, known)


def test_a_trial_says_whom_the_word_of_others_would_have_matched_honest_accounts_included(tmp_path: Path) -> None:
    from tests.unit.cases_stand import filled

    store = filled(str(tmp_path / "cases.db"))  # K0001 of a, b, c, d; K0002 of x, y, z
    with store.writing() as change:
        rule(change, ["K0001"], Decision("confirmed"), ANA)
    told = [
        ("tls", "ja4:t13d1516h2_8daaf6152771_e5627efa2ab1", {}),
        ("network", SEEN, {}),
        ("mail_domain", "mailbox.example", {}),
        ("template_family", TEMPLATE, {}),
        ("network", "9.9.9.0/24", {"warned": "public-dns-v4"}),
        ("timing", "active_days:3-14", {}),
        ("issuer_class", "gift", {"until": "2026-11-01"}),
        ("issuer_class", "virtual", {"withdrawn": "mistake"}),
    ]
    heard = [
        Heard(uuid(1), uuid(n), "north", kind, value, "2026-12-20", 40)._replace(**other)
        for n, (kind, value, other) in enumerate(told)
    ]
    with store.reading() as reading:
        found = trial.trial(reading, heard, lambda: Kept(*log()), KEY, GROUP, TODAY)  # type: ignore[arg-type, return-value]
    counts = [(o.accounts, o.confirmed, o.innocent, o.open, o.trusted, o.others) for o in found]
    assert counts[:4] == [(6, 4, 0, 0, 2, 1), (4, 4, 0, 0, 1, 0), (6, 4, 0, 0, 2, 1), (0,) * 6]
    assert found[1].cases == (("K0001", 4),) and found[1].honest == 1
    assert [one.compared for one in found[4:]] == [
        "on the list public-dns-v4",
        "for people to read",
        "over since 2026-11-01",
        "taken back: mistake",
    ]
    assert all(one.accounts == 0 for one in found[4:])


def test_dissent_and_sightings_go_back_to_whoever_told_and_peers_are_scored(north: Side, south: Side) -> None:
    kept = north.tell()
    take(south, north.out)
    said = speaking.speak(south.store, kept.document, "opinion", "disagree", "south", south.out, ANA)
    (taken,) = take(north, south.out, peer="south")
    assert (taken.what, taken.cases, taken.news) == ("opinion", ("K0001",), True)
    assert take(north, south.out, peer="south")[0].news is False
    with north.store.reading() as store:
        assert word.decoded(sharing.held(store, said.document).body.encode()).said == "disagree"  # type: ignore[union-attr]
    with pytest.raises(InputError, match="nothing came in as"):
        speaking.speak(south.store, uuid(99), "opinion", "disagree", "south", south.out, ANA)
    with pytest.raises(SetupError, match="it is about nothing that was told here"):
        body = word.encoded(word.Word(uuid(5), "opinion", "agree", uuid(6), "south", f"{TODAY}T09:00:00Z"))
        arriving.take_in(north.store, body, "south", LISTS, ANA)
    rely(south, kept.document)
    with south.store.reading() as store:
        (score,) = speaking.scores(store)
    assert (score.confirmed, score.innocent, score.precision, score.dissent) == (1, 0, 1.0, 1)
    with south.store.writing() as change:
        rule(change, ["K0001"], Decision("innocent", "one_customer"), ANA)
        assert speaking.scores(change)[0].precision == 0.0
    assert holds(north, south)


def test_settings_that_are_wrong_are_named(tmp_path: Path) -> None:
    file = settings(tmp_path)
    for change, said in (
        (("north", "Acme Corp"), "sender is no short name"),
        (("circle", "circles"), "these are no settings"),
        (("group_key", "days = 300\ngroup_key"), "days is not from 1 to 30"),
    ):
        file.write_text(settings(tmp_path).read_text().replace(*change))
        with pytest.raises(SetupError, match=said):
            chosen_from(file)


def chosen_from(file: Path) -> object:
    from clonewatch.peering.settings import read

    return read(file)


def test_what_is_told_of_a_case_is_asked_of_nobody_else(north: Side) -> None:
    with north.store.reading() as store:
        case: Case = store.case("K0002")
    assert case.ruling is None
    with pytest.raises(SetupError, match="K0002 is not ruled confirmed"):
        releasing.show(north.store, Order("K0002", north.result, chosen(north.folder), KEY), ANA)
