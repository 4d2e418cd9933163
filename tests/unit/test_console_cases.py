"""What people do to cases in the console, on SQLite and on PostgreSQL: alone, at once, and with a second person."""

from __future__ import annotations

import re
import threading
from pathlib import Path

import pytest
from httpx2 import Response
from tests.unit.cases_stand import ANA, BOB, group
from tests.unit.console_stand import Browser, Console, console, sound, version_in

from clonewatch.campaigns.answers import read, write
from clonewatch.cases import approvals
from clonewatch.cases.arrivals import arrive
from clonewatch.cases.changes import Decision, rule
from clonewatch.cases.records import Case
from clonewatch.cases.rulings import standing
from clonewatch.cases.standing_odds import posterior_bits


@pytest.fixture
def open_(place: tuple[str, Path]) -> Console:
    return console(*place, roles=("analyst", "approver"))


def case(open_: Console, name: str = "K0001") -> Case:
    with open_.store.reading() as store:
        return store.case(name)


def do(browser: Browser, change: str, name: str = "K0001", /, **fields: object) -> Response:
    """Send a form of a case as it is shown now."""
    page = browser.get(f"/cases/{name}").text
    return browser.post(f"/cases/{name}/{change}", **{"version": version_in(page), **fields})


def waiting(open_: Console) -> int:
    with open_.store.reading() as store:
        (found,) = approvals.requests(store, state=approvals.WAITING)
    return found.entry


def test_an_analyst_rules_in_three_requests(open_: Console) -> None:
    """Open the queue, open the first case, rule: what there is to know and to decide is on these two pages."""
    analyst = open_.as_["analyst"]
    first = re.search(r'href="(/cases/K\d+)"', analyst.get("/").text)
    assert first
    page = analyst.get(first[1]).text
    for said in ("Why it is here", "Could it be innocent?", "How the odds come about", "Rule on K0001"):
        assert said in page
    fields = {"ruling": "innocent", "explanation": "one_customer", "scope": "accounts", "until": "2026-12-31"}
    done = analyst.post(f"{first[1]}/rule", version=version_in(page), note="contract 4711", **fields)
    assert done.headers["location"] == "/cases/K0001?done=ruled"
    held = case(open_).ruling
    assert held and (held.ruling, held.explanation, held.scope, held.until) == (
        "innocent",
        "one_customer",
        "accounts",
        "2026-12-31",
    )
    page = analyst.get("/cases/K0001?done=ruled").text
    assert "contract 4711" in page and "Ruled. It goes to the next scan." in page
    assert "as claimed" not in page[page.index("ruled innocent") - 300 : page.index("ruled innocent")]
    sound(open_.store)


def test_who_looked_at_an_older_version_changes_nothing_and_hears_who_changed_what(open_: Console) -> None:
    analyst, approver = open_.as_["analyst"], open_.as_["approver"]
    version = version_in(analyst.get("/cases/K0001").text)
    assert do(approver, "rule", ruling="confirmed").status_code == 303
    before = sound(open_.store)
    for what, fields in (
        ("rule", {"ruling": "needs_more"}),
        ("answer", {"question": "one_customer", "answer": "yes"}),
        ("assign", {"to": "ana"}),
        ("ask", {"what": "export", "why": "because"}),
        ("contain", {"measure": "verify", "ground": "Section 4", "why": "because"}),
    ):
        late = analyst.post(f"/cases/K0001/{what}", version=version, **fields)
        assert late.status_code == 409 and "approver ruled on it" in late.text, what
    assert sound(open_.store) == before


def test_of_two_who_rule_at_once_one_is_told(open_: Console) -> None:
    version = version_in(open_.as_["analyst"].get("/cases/K0001").text)
    tokens = {name: browser.csrf() for name, browser in open_.as_.items()}
    done: dict[str, int] = {}

    def send(name: str, ruling: str) -> None:
        sent = open_.as_[name].post("/cases/K0001/rule", tokens[name], ruling=ruling, version=version, note=name)
        done[name] = sent.status_code

    both = [
        threading.Thread(target=send, args=(name, ruling))
        for name, ruling in (("analyst", "confirmed"), ("approver", "needs_more"))
    ]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join()
    assert sorted(done.values()) == [303, 409]
    held = case(open_).ruling
    winner = next(name for name, status in done.items() if status == 303)
    assert held and held.by == winner
    sound(open_.store)


def test_notes_of_two_at_once_are_both_kept(open_: Console) -> None:
    tokens = {name: browser.csrf() for name, browser in open_.as_.items()}
    threads = [
        threading.Thread(target=open_.as_[name].post, args=("/cases/K0001/note", tokens[name]), kwargs={"text": name})
        for name in open_.as_
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    page = open_.as_["analyst"].get("/cases/K0001").text
    assert all(f"<q>{name}</q>" in page for name in open_.as_)
    sound(open_.store)


def test_an_answer_moves_the_odds_by_what_the_button_says(open_: Console, tmp_path: Path) -> None:
    analyst = open_.as_["analyst"]
    page = analyst.get("/cases/K0001").text
    assert '<dd class="big">16 to 1</dd>' in page and "−12 bits" in page and "+1 bit" in page
    assert do(analyst, "answer", question="one_customer", answer="yes").status_code == 303
    assert posterior_bits(case(open_)) == 4.0 - 12.0
    assert '<dd class="big">1 to 260</dd>' in analyst.get("/cases/K0001").text
    assert do(analyst, "answer", question="one_customer", answer="no").status_code == 303, "in place of the first"
    assert do(analyst, "answer", question="app_users", answer="no").status_code == 303
    assert posterior_bits(case(open_)) == 4.0 + 1.0 + 1.0
    with open_.store.reading() as store:
        told = standing(store)
    assert [(one.question, one.yes, one.by, one.ruled) for one in told] == [
        ("one_customer", False, "analyst", None),
        ("app_users", False, "analyst", None),
    ]
    write(tmp_path / "rulings.jsonl", told)
    assert read(tmp_path / "rulings.jsonl") == told, "the next scan reads them"
    assert analyst.post("/cases/K0001/undo").status_code == 303
    assert posterior_bits(case(open_)) == 4.0 + 1.0
    assert do(analyst, "answer", question="is_it_so", answer="no").status_code == 400
    assert do(analyst, "answer", question="app_users", answer="perhaps").status_code == 422
    sound(open_.store)


def test_the_queue_can_be_answered_in_and_comes_back_as_it_was(open_: Console) -> None:
    analyst = open_.as_["analyst"]
    page = analyst.get("/?outcome=review").text
    fields = {"question": "colleagues", "answer": "yes", "version": "1", "here": "/?outcome=review"}
    assert 'name="here" value="/?outcome=review"' in page
    done = analyst.post("/cases/K0002/answer", **fields)
    assert done.headers["location"] == "/?outcome=review&done=answered"
    assert posterior_bits(case(open_, "K0002")) == 4.0 - 8.0


def test_an_answer_is_forgotten_when_the_case_is_about_others_mostly(open_: Console) -> None:
    do(open_.as_["analyst"], "answer", question="one_customer", answer="yes")
    with open_.store.writing() as store:
        arrive(store, [group("C0001", "abcdefg", last="2026-05-08")], BOB.by, BOB.at)
    assert [one.question for one in case(open_).answered] == ["one_customer"], "four of seven"
    with open_.store.writing() as store:
        arrive(store, [group("C0001", "abcdefghi", last="2026-05-09")], BOB.by, BOB.at)
    assert case(open_).answered == () and posterior_bits(case(open_)) == 4.0
    sound(open_.store)


def test_bulk_rulings_are_given_to_all_or_to_none(open_: Console) -> None:
    analyst = open_.as_["analyst"]
    both = {
        "case": ["K0001@1", "K0002@1"],
        "ruling": "innocent",
        "explanation": "class_or_event",
        "note": "spring course",
    }
    do(open_.as_["approver"], "assign", "K0002", to="bob")
    assert analyst.post("/cases/rule", **both).status_code == 409
    assert case(open_).ruling is None
    assert analyst.post("/cases/rule", **{**both, "case": ["K0001@1", "K0002@2"]}).status_code == 303
    rulings = [case(open_, name).ruling for name in ("K0001", "K0002")]
    assert [one and one.explanation for one in rulings] == ["class_or_event", "class_or_event"]
    assert analyst.post("/cases/rule", case="K0001", ruling="confirmed").status_code == 400
    sound(open_.store)


def test_to_export_takes_two_persons(open_: Console) -> None:
    analyst, approver = open_.as_["analyst"], open_.as_["approver"]
    assert do(analyst, "ask", what="export", why=" ").status_code == 400
    assert do(analyst, "ask", what="burn", why="a court").status_code == 400
    bare = do(analyst, "ask", what="block", why="a pool")
    assert bare.status_code == 400 and "takes a ground and an end" in bare.text
    assert do(approver, "ask", what="export", why="a court").status_code == 303
    assert do(analyst, "ask", what="export", why="a court").status_code == 400, "it was asked for"
    number = waiting(open_)
    own = approver.post(f"/approvals/{number}", state="approved")
    assert own.status_code == 400 and "another person" in own.text
    assert approver.post(f"/approvals/{number}", state="withdrawn").status_code == 303
    assert do(analyst, "ask", what="export", why="a court").status_code == 303
    number = waiting(open_)
    assert 'class="badge"' in approver.get("/").text and 'class="badge"' not in analyst.get("/").text
    assert approver.post(f"/approvals/{number}", state="approved").status_code == 303
    assert "Download the file" in analyst.get("/cases/K0001").text
    assert approver.post(f"/approvals/{number}", state="declined").status_code == 409, "decided already"
    do(analyst, "rule", ruling="confirmed")
    with open_.store.reading() as store:
        assert approvals.stands(store, "K0001", approvals.EXPORT) is None, "the ruling is another"
    sound(open_.store)


def test_what_changed_since_somebody_asked_cannot_be_approved(open_: Console) -> None:
    analyst, approver = open_.as_["analyst"], open_.as_["approver"]
    do(analyst, "rule", ruling="confirmed")
    do(analyst, "ask", what="export", why="a pool")
    number = waiting(open_)
    do(approver, "assign", to="bob")
    assert "cannot be approved any more" not in approver.get("/approvals").text, "who looks at it matters not"
    with open_.store.writing() as store:
        arrive(store, [group("C0001", "abcdq", last="2026-05-08")], BOB.by, BOB.at)
    assert "cannot be approved any more" in approver.get("/approvals").text
    assert approver.post(f"/approvals/{number}", state="approved").status_code == 409
    assert approver.post(f"/approvals/{number}", state="declined").status_code == 303
    sound(open_.store)


def test_a_file_leaves_the_house_only_once_approved_and_every_copy_is_logged(open_: Console) -> None:
    analyst, approver = open_.as_["analyst"], open_.as_["approver"]
    assert analyst.post("/cases/K0001/export").status_code == 400
    do(analyst, "note", text="asked sales")
    do(analyst, "ask", what="export", why="a court asks")
    assert analyst.post("/cases/K0001/export").status_code == 400
    approver.post(f"/approvals/{waiting(open_)}", state="approved")
    before = sound(open_.store)
    file = analyst.post("/cases/K0001/export")
    assert file.headers["content-disposition"] == 'attachment; filename="K0001.json"'
    assert [one["note"] for one in file.json()["history"] if one["what"] == "note"] == ["asked sales"]
    assert sound(open_.store) == before + 1
    assert "took out of the house: the file of the case" in analyst.get("/log").text


def test_cases_are_split_merged_and_put_back(open_: Console) -> None:
    analyst = open_.as_["analyst"]
    done = analyst.post("/cases/K0001/split", accounts=["a"], pasted="b\n\n", note="an office")
    assert done.headers["location"] == "/cases/K0003?done=split"
    assert (case(open_).size, case(open_, "K0003").size) == (2, 2)
    assert "Split from" in analyst.get("/cases/K0003").text
    assert analyst.post("/cases/K0001/split", accounts=["z"]).status_code == 400
    assert analyst.post("/cases/K0001/split").status_code == 400
    assert analyst.post("/cases/K0001/merge", others="K0002, K0003").status_code == 303
    assert case(open_).size == 7 and case(open_, "K0002").status == "merged"
    merged = analyst.get("/cases/K0002").text
    assert 'Merged into <a href="/cases/K0001">' in merged and "Rule on K0002" not in merged
    assert analyst.post("/cases/K0002/undo").status_code == 303
    assert case(open_, "K0002").status == "open"
    assert analyst.post("/cases/K0001/merge", others="").status_code == 422
    assert analyst.post("/cases/K0001/merge", others=" , ").status_code == 400
    sound(open_.store)


def test_the_queue_filters_sorts_and_searches(open_: Console) -> None:
    analyst = open_.as_["analyst"]
    with open_.store.writing() as store:
        arrive(store, [group("C0009", "klm", outcome="review", odds=9.0, last="2026-05-02")], ANA.by, ANA.at)
        rule(store, ["K0002"], Decision("confirmed"), ANA, "sold on a forum")

    def shown(query: str) -> list[str]:
        return re.findall(r'class="case" href="/cases/(K\d+)"', analyst.get(f"/?{query}").text)

    assert shown("") == ["K0001", "K0003"], "flagged before review, ruled ones gone"
    assert shown("sort=odds") == ["K0003", "K0001"]
    assert shown("sort=seen") == ["K0003", "K0001"] and shown("sort=accounts") == ["K0001", "K0003"]
    assert shown("status=any&sort=case") == ["K0001", "K0002", "K0003"]
    assert shown("status=ruled") == shown("status=any&ruling=confirmed") == ["K0002"]
    assert shown("outcome=review") == ["K0003"] and shown("outcome=listed") == []
    assert shown("status=any&text=FORUM") == shown("status=any&text=z") == shown("status=any&text=k0002") == ["K0002"]
    do(analyst, "assign", "K0003", to="bob", due="2026-05-05")
    assert shown("assignee=bob") == shown("text=bob") == ["K0003"] and shown("assignee=nobody") == ["K0001"]
    assert shown("sort=due") == ["K0003", "K0001"] and 'tag overdue">2026-05-05' in analyst.get("/").text
    assert shown("page=99") == ["K0001", "K0003"]
    assert shown("text=x") == [] and 'href="/?text=x&amp;status=any"' in analyst.get("/?text=x").text, "it is ruled on"
    assert 'href="/accounts/k">Why it is in' in analyst.get("/?text=k").text
    assert "Why it is in" not in analyst.get("/?text=K0003").text
    assert analyst.post("/views", name="my reviews", here="/?outcome=review&page=2&x=1").status_code == 303
    assert '<a href="/?outcome=review">my reviews</a>' in analyst.get("/").text


def test_a_store_that_is_gone_is_said_to_be_and_works_again_when_it_is_back(tmp_path: Path) -> None:
    open_ = console(str(tmp_path / "cases.db"), roles=("analyst",))
    analyst, csrf = open_.as_["analyst"], open_.as_["analyst"].csrf()
    (tmp_path / "cases.db").rename(tmp_path / "elsewhere.db")
    gone = analyst.get("/cases/K0001")
    assert gone.status_code == 503 and "cannot be used" in gone.text
    assert analyst.post("/cases/K0001/note", csrf, text="lost?").status_code == 503
    assert analyst.get("/alive").status_code == 503
    (tmp_path / "elsewhere.db").rename(tmp_path / "cases.db")
    assert analyst.get("/cases/K0001").status_code == 200
    assert "lost?" not in analyst.get("/cases/K0001").text, "who sent it was told"
    sound(open_.store)
