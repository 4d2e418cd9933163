"""Measures and appeals in the console: asked for, begun, told, answered, lapsed, and not again on the same evidence."""

from __future__ import annotations

import html
import json
import re
from pathlib import Path

import pytest
from tests.unit.appeals_stand import ANA, HOLDER, PLAN, at, contained, plan
from tests.unit.cases_stand import group
from tests.unit.console_stand import Browser, Console, console, sound, version_in

from clonewatch.cases import approvals
from clonewatch.cases.appeal_clock import in_force
from clonewatch.cases.appeals import OUTCOMES, Answer, appeal, decide, refusal, write
from clonewatch.cases.arrivals import arrive
from clonewatch.cases.attachments import File
from clonewatch.cases.changes import Decision, rule
from clonewatch.cases.containments import ask, bearer, numbered
from clonewatch.errors import ClonewatchError, InputError

ROLES = ("viewer", "analyst", "approver", "admin")
WANTED = {"measure": "suspend", "ground": "Section 4: one person, one account", "why": "one card pays", "days": "30"}


@pytest.fixture
def open_(tmp_path: Path) -> Console:
    return console(str(tmp_path / "cases.db"), roles=ROLES)


def contain(browser: Browser, name: str = "K0001", **fields: str) -> int:
    version = version_in(browser.get(f"/cases/{name}").text)
    return browser.post(f"/cases/{name}/contain", version=version, **(WANTED | fields)).status_code


def confirmed(browser: Browser) -> None:
    version = version_in(browser.get("/cases/K0001").text)
    assert browser.post("/cases/K0001/rule", ruling="confirmed", version=version).status_code == 303


def acted_on(open_: Console) -> list[str]:
    with open_.store.reading() as store:
        return [one.account for one in in_force(store, open_.clock.now)]


def appealed(open_: Console, number: int = 0, files: tuple[File, ...] = ()) -> Console:
    """B0001, by ana and bob, and an appeal of its first account."""
    _, links = contained(open_.store)
    with open_.store.writing() as store:
        write(store, bearer(store, links[number].token, HOLDER.at), "we are a school", HOLDER, files)
    open_.clock.now = "2026-05-07T10:00:00Z"
    for browser in open_.as_.values():
        name = next(role for role, held in open_.as_.items() if held is browser)
        assert browser.sign_in(name).status_code == 303
    return open_


def test_one_person_asks_and_another_begins_and_gets_the_notices(open_: Console) -> None:
    analyst, approver = open_.as_["analyst"], open_.as_["approver"]
    assert contain(analyst) == 400, "nobody confirmed it"
    assert "can be asked for once the case is ruled confirmed" in analyst.get("/cases/K0001").text
    confirmed(analyst)
    for wrong in ({"measure": "burn"}, {"ground": " "}, {"why": " "}, {"days": "181"}, {"answer_days": "31"}):
        assert contain(analyst, **wrong) == 400, wrong
    assert contain(approver, days="a while") == 422
    assert contain(approver) == 303 and contain(analyst) == 400, "it was asked for"
    own = approver.get("/containments/B0001").text
    assert "You asked for it" in own and "Approve and begin" not in own
    assert approver.post("/containments/B0001/begin").status_code == 400
    assert "It takes the role approver" in analyst.get("/containments/B0001").text
    asked = re.search(r'action="/approvals/(\d+)"', own)
    assert asked
    bare = open_.as_["admin"].post(f"/approvals/{asked[1]}", state="approved")
    assert bare.status_code == 400 and "begins when it is approved" in bare.text and acted_on(open_) == []
    admin = open_.as_["admin"]
    page = admin.get("/containments/B0001").text
    assert "Section 4: one person, one account" in page and "About your account a (reference B0001-0)" in page
    assert 'href="/containments/B0001">Read and begin it' in admin.get("/approvals").text
    named = '<a href="/containments/B0001">B0001</a>: suspend the 4 accounts'
    assert f'<h2>{named} of <a href="/cases/K0001">' in admin.get("/approvals").text
    assert admin.post("/containments/B0001/begin").headers["location"] == "/containments/B0001?done=begun"
    assert acted_on(open_) == ["a", "b", "c", "d"]
    assert f'<td data-head="What">{named}</td>' in admin.get("/approvals").text, "what was decided is named too"
    assert admin.post("/containments/B0001/begin").status_code == 409, "begun by now"
    sound(open_.store)


def test_the_second_person_reads_the_letter_that_holders_get(open_: Console) -> None:
    with open_.store.writing() as store:
        (case,) = arrive(store, [group("C0009", "klmnopqrstuv")], ANA.by, ANA.at).opened
        rule(store, [case], Decision("confirmed"), ANA)
        ask(store, case, PLAN, "seen twice", ANA)
    approver = open_.as_["approver"]
    page = approver.get("/containments/B0001").text
    shown = re.search(r'aria-label="Letter to a holder">(.*?)</pre>', page, re.DOTALL)
    approver.post("/containments/B0001/begin")
    sent = json.loads(approver.post("/containments/B0001/notices").text.splitlines()[0])
    assert shown and html.unescape(shown[1]).strip() == sent["letter"].replace(sent["token"], "…").strip()
    assert "one of more than 10 accounts" in sent["letter"] and "<td>planned</td><td>suspend</td>" in page


def test_notices_are_made_once_and_with_them_every_older_link_ends(open_: Console) -> None:
    plan(open_.store)
    approver = open_.as_["approver"]
    assert approver.post("/containments/B0001/notices").status_code == 409, "not begun"
    approver.post("/containments/B0001/begin")
    assert "Nobody has been told yet" in approver.get("/containments/B0001").text
    assert "nobody has been told yet" in approver.get("/appeals").text
    first = approver.post("/containments/B0001/notices", redress="Write to the ombudsman.")
    assert first.headers["content-disposition"] == 'attachment; filename="B0001-notices.jsonl"'
    assert first.headers["cache-control"] == "no-store" and first.headers["content-type"] == "application/x-ndjson"
    lines = [json.loads(line) for line in first.text.splitlines()]
    assert [line["account"] for line in lines] == ["a", "b", "c", "d"] and len({line["token"] for line in lines}) == 4
    assert all(f"http://127.0.0.1:8642/appeal#{line['token']}\n" in line["letter"] for line in lines)
    assert all("Write to the ombudsman." in line["letter"] for line in lines)
    for path in ("/containments/B0001", "/log", "/appeals", "/cases/K0001"):
        page = approver.get(path).text
        assert "obody has been told yet" not in page and not any(line["token"] in page for line in lines)
    again = json.loads(approver.post("/containments/B0001/notices").text.splitlines()[0])
    one = approver.post("/containments/B0001/link", account="b")
    token = re.search(r"/appeal#([\w-]+)", one.text[one.text.index("A new link") :])
    assert token and "shown once" in one.text and token[1] not in approver.get("/containments/B0001").text
    with open_.store.reading() as store:
        assert bearer(store, again["token"], open_.clock.now).account == "a"
        assert bearer(store, token[1], open_.clock.now).account == "b"
        for line in lines:
            with pytest.raises(InputError):
                bearer(store, line["token"], open_.clock.now)
    assert approver.post("/containments/B0001/link", account="z").status_code == 400
    sound(open_.store)


def test_what_the_command_line_began_was_told(open_: Console) -> None:
    contained(open_.store)
    assert "obody has been told yet" not in open_.as_["approver"].get("/containments/B0001").text


def test_a_measure_is_ended_early_with_a_reason(open_: Console) -> None:
    contained(open_.store)
    analyst = open_.as_["analyst"]
    assert analyst.post("/containments/B0001/end", note=" ").status_code == 400
    assert analyst.post("/containments/B0001/end", note="they signed a contract").status_code == 303
    page = analyst.get("/containments/B0001").text
    assert acted_on(open_) == [] and "they signed a contract" in page
    assert analyst.post("/containments/B0001/end", note="again").status_code == 409
    sound(open_.store)


def test_an_overturned_account_is_free_everywhere_and_is_not_acted_on_again(open_: Console) -> None:
    analyst = appealed(open_).as_["analyst"]
    page = analyst.get("/appeals/A0001").text
    assert "we are a school" in page and "Answer A0001" in page
    done = analyst.post("/appeals/A0001/answer", outcome="overturn", text="it exists", version=version_in(page))
    assert done.headers["location"] == "/appeals/A0001?done=decided"
    assert acted_on(open_) == ["b", "c", "d"]
    assert "1 overturned of 1 answered" in re.sub("<[^>]*>", "", analyst.get("/appeals").text)
    with open_.store.writing() as store:
        rule(store, ["K0003"], Decision("confirmed"), at(ANA, "09"))
    version = version_in(analyst.get("/cases/K0003").text)
    refused = analyst.post("/cases/K0003/contain", version=version, **WANTED)
    assert refused.status_code == 400 and "cleared: B0001 was overturned for them, on the same evidence" in refused.text
    sound(open_.store)


def test_the_page_offers_what_the_store_takes_and_gives_the_reasons_for_the_rest(open_: Console) -> None:
    """For the person who asked and for another, at every state of an appeal."""
    appealed(open_)
    offered = {}
    for role in ("analyst", "approver"):
        page = open_.as_[role].get("/appeals/A0001").text
        offered[role] = set(re.findall(r'name="outcome" value="(\w+)"', page))
    assert offered == {"analyst": set(OUTCOMES), "approver": set(OUTCOMES)}
    with open_.store.writing() as store:
        again = plan_again(store)
    assert again == {"overturn", "ask"}
    open_.clock.now = "2026-05-30T10:00:00Z"
    assert open_.as_["analyst"].sign_in("analyst").status_code == 303
    page = open_.as_["analyst"].get("/appeals/A0001").text
    assert set(re.findall(r'name="outcome" value="(\w+)"', page)) == {"overturn"}
    assert "had to be answered by 2026-05-21T09:00:00Z" in page


def plan_again(store: object) -> set[str]:
    """What the person who asked, under another spelling, may answer."""
    held = appeal(store, "A0001")  # type: ignore[arg-type]
    against = numbered(store, held.containment, held.holder)  # type: ignore[arg-type]
    who = at(ANA, "08")._replace(by="Ana")
    return {one for one in OUTCOMES if refusal(held, against, one, who, held.version) is None}


GIVEN = {
    "uphold": Answer("uphold"),
    "partial": Answer("partial", "verify"),
    "conditional": Answer("conditional", by="2026-05-20"),
    "ask": Answer("ask", by="2026-05-12"),
    "overturn": Answer("overturn"),
}


@pytest.mark.parametrize("before", [None, *GIVEN])
def test_an_answer_is_refused_where_the_page_says_so_and_nowhere_else(open_: Console, before: str | None) -> None:
    appealed(open_)
    if before:
        with open_.store.writing() as store:
            decide(store, "A0001", GIVEN[before], "because", at(ANA, "07")._replace(by="eva", at=open_.clock.now))
    for who in (at(ANA, "08"), at(ANA, "08")._replace(by="fay"), at(ANA, "2026-06-20T09:00:00Z")._replace(by="fay")):
        for outcome, answer in GIVEN.items():
            answer = answer._replace(by=who.at[:10]) if answer.by else answer
            with open_.store.reading() as store:
                held = appeal(store, "A0001")
                wanted = refusal(held, numbered(store, "B0001", 0), outcome, who, held.version)
            try:
                with open_.store.writing() as store:
                    decide(store, "A0001", answer, "because", who, held.version)
                    raise LookupError
            except ClonewatchError as error:
                assert wanted and error.what == wanted.what, (outcome, who)
            except LookupError:
                assert wanted is None, (outcome, who)


def test_who_answers_an_older_version_hears_who_answered(open_: Console) -> None:
    analyst, approver = appealed(open_).as_["analyst"], open_.as_["approver"]
    version = version_in(analyst.get("/appeals/A0001").text)
    fields = {"text": "no", "version": version}
    assert approver.post("/appeals/A0001/answer", outcome="uphold", **fields).status_code == 303
    late = analyst.post("/appeals/A0001/answer", outcome="overturn", **fields)
    assert late.status_code == 409 and "approver answered it" in late.text
    sound(open_.store)


def test_what_nobody_answers_lapses_at_a_click(open_: Console) -> None:
    analyst = appealed(open_).as_["analyst"]
    assert analyst.post("/appeals/lapse").headers["location"] == "/appeals?done=nothing"
    open_.clock.now = "2026-05-22T09:00:00Z"
    assert analyst.sign_in("analyst").status_code == 303
    assert acted_on(open_) == ["b", "c", "d"], "whether or not somebody recorded it"
    assert "1 appeal is past the deadline" in analyst.get("/appeals").text
    assert analyst.post("/appeals/lapse").headers["location"] == "/appeals?done=lapsed"
    page = analyst.get("/appeals").text
    assert "No appeal waits for an answer." in page and "not in time" in page
    sound(open_.store)


def test_an_appeal_by_letter_is_taken_down(open_: Console) -> None:
    contained(open_.store)
    analyst = open_.as_["analyst"]
    assert analyst.post("/containments/B0001/receive", account="z", text="we are a school").status_code == 400
    done = analyst.post("/containments/B0001/receive", account="c", text="we are a school")
    assert done.headers["location"] == "/appeals/A0001?done=received"
    assert analyst.get("/appeals/A0001").status_code == 200
    sound(open_.store)


def test_files_are_downloaded_by_their_own_appeal_under_harmless_names(open_: Console) -> None:
    evil = File('../../x"><script>\u202e.html', b"<script>alert(1)</script>")
    analyst = appealed(open_, files=(evil, File("b.pdf", b"%PDF-1.7"))).as_["analyst"]
    page = analyst.get("/appeals/A0001").text
    places = re.findall(r'href="(/appeals/A0001/files/\d+/\d+)"', page)
    assert len(places) == 2 and "<script>alert" not in page and '"><script>' not in page
    kinds = []
    for place in places:
        file = analyst.get(place)
        assert re.fullmatch(r'attachment; filename="attachment-\d+-\d\.(txt|pdf)"', file.headers["content-disposition"])
        assert file.headers["x-content-type-options"] == "nosniff" and file.headers["cache-control"] == "no-store"
        kinds.append(file.headers["content-type"])
    assert kinds == ["text/plain; charset=utf-8", "application/pdf"]
    with open_.store.writing() as store:
        write(store, numbered(store, "B0001", 1), "and we", HOLDER)
    assert analyst.get(places[0].replace("A0001", "A0002")).status_code == 404, "a file of another appeal"
    for wrong in ("/appeals/A0001/files/0/1", "/appeals/A0001/files/99/1", "/appeals/A9999/files/1/1"):
        assert analyst.get(wrong).status_code == 404


def test_what_changed_since_somebody_asked_does_not_begin(open_: Console) -> None:
    from tests.unit.cases_stand import group

    plan(open_.store)
    with open_.store.writing() as store:
        arrive(store, [group("C0001", "abcdq", last="2026-05-08")], ANA.by, ANA.at)
    approver = open_.as_["approver"]
    assert "changed since ana asked" in approver.get("/containments/B0001").text
    assert approver.post("/containments/B0001/begin").status_code == 409
    with open_.store.reading() as store:
        (asked,) = approvals.requests(store, state=approvals.WAITING)
    assert approver.post(f"/approvals/{asked.entry}", state="declined").status_code == 303
    assert "It was declined by approver" in approver.get("/containments/B0001").text
    sound(open_.store)
