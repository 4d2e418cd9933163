"""Audits of suspect models in a dossier: verified before they go in, covered once they are there."""

from __future__ import annotations

import io
import json
import re
import shutil
import zipfile
from importlib.util import find_spec
from pathlib import Path

import pytest
from tests.path.test_dossier import EXAMPLES, ask, done, dossier, export, home, logged_anew, script
from tests.unit.audit_stand import honest, planned, standing

from clonewatch.adapters.reading import open_log
from clonewatch.audit.committing import commit_watermark
from clonewatch.audit.ledger import Ledger, Usage
from clonewatch.audit.run import collect, run_tests
from clonewatch.cases.store import opened
from clonewatch.dossier import audits
from clonewatch.dossier.verification import verified

__all__ = ["home", "script"]
pytestmark = pytest.mark.skipif(not find_spec("httpx"), reason="httpx is not installed: nobody can be asked")


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ledger with two secrets, one of them served to the case, and a finished audit of both."""
    book = tmp_path_factory.mktemp("book")
    ledger = Ledger(book / "ledger.jsonl")
    for carrier in ("K0001", "K0009"):
        commit_watermark(ledger, "kgw", 1, 0.5, Usage("2026-03-01", carriers=[carrier]))
    with standing(honest) as (url, _):
        kept, ledger = planned(book, url)
        collect(kept, ledger)
    run_tests(kept, ledger)
    done("audit", "report", book / "audit")
    return book


@pytest.fixture(scope="module")
def bundle(home: Path, book: Path) -> Path:
    export(home, home / "audited", "--audit", book / "audit")
    return home / "audited"


@pytest.fixture
def copy(bundle: Path, tmp_path: Path) -> Path:
    return shutil.copytree(bundle, tmp_path / "copy")


def test_a_dossier_tells_what_an_audit_found_and_what_it_does_not_show(bundle: Path, book: Path, script) -> None:  # type: ignore[no-untyped-def]
    assert verified(bundle).faults == () and script.verify(bundle).startswith("holds: ")
    (one,) = dossier(bundle)["audits"]
    assert one["suspect"]["model"] == "suspect" and one["looks"] == {"planned": 1, "made": 1}
    results = json.loads((book / "audit" / "results.json").read_bytes())
    assert one["plan"]["sha256"] == results["plan"]
    assert one["window"]["first"] == results["sources"]["suspect"]["first"]
    assert "was served to K0001" in one["about_case"][0] and "nothing about this case" in one["about_case"][1]
    chapters = {part["title"]: part for part in one["chapters"]}
    assert "corrected p =" in chapters["The control"]["points"][0]
    assert "p corrected" in chapters["All results"]["table"][0] and len(chapters["All results"]["table"]) == 3
    assert any("drawn at random" in said for said in chapters["What was planned"]["points"])
    assert one["age"].startswith("Age: unproven") and "no attribution" in one["not_shown"]
    assert not any(rung["reached"] for rung in dossier(bundle)["ladder"] if rung["code"] in ("L4", "L5"))


def test_neither_prompts_nor_answers_nor_secrets_leave_the_house(bundle: Path, book: Path) -> None:
    held = {path.name for path in (bundle / "audits" / "1").iterdir()}
    assert held == {"plan.json", "results.json", "report.md", "report.html", "checked.json"}
    prompts = [json.loads(row)["prompt"] for row in (book / "prompts.jsonl").read_text().splitlines()]
    ledger = Ledger(book / "ledger.jsonl")
    secrets = [ledger.secret(r.body["commitment"]) for r in ledger.records() if r.kind == "commit"]
    for path in (p for p in bundle.rglob("*") if p.is_file()):
        data = path.read_bytes()
        assert not any(prompt.encode() in data for prompt in prompts), path.name
        assert not any(secret in data or secret.hex().encode() in data for secret in secrets), path.name


@pytest.mark.parametrize("name", ["plan.json", "results.json", "report.md", "report.html", "checked.json"])
def test_a_flipped_bit_in_an_audit_is_found_by_both(copy: Path, script, name: str) -> None:  # type: ignore[no-untyped-def]
    place = copy / "audits" / "1" / name
    data = bytearray(place.read_bytes())
    data[len(data) // 2] ^= 1
    place.write_bytes(data)
    assert verified(copy).faults == (f"audits/1/{name} was changed",)
    with pytest.raises(ValueError, match=f"audits/1/{name} was changed"):
        script.verify(copy)


def test_an_audit_that_its_maker_left_out_or_retold_is_found(home: Path, copy: Path, tmp_path: Path) -> None:
    place = copy / "audits" / "1" / "results.json"
    place.write_bytes(place.read_bytes().replace(b"no evidence", b"strong evidence"))
    logged_anew(copy, home)
    assert "part audits of dossier.json does not follow" in verified(copy).faults[0]
    told = json.loads(place.read_bytes()) | {"plan": "0" * 64}
    place.write_text(json.dumps(told))
    logged_anew(copy, home)
    assert verified(copy).faults == ("audits/1/results.json holds the results of another plan",)
    shutil.rmtree(place.parent)
    logged_anew(copy, home)
    assert "part audits of dossier.json does not follow" in verified(copy).faults[0]


@pytest.mark.parametrize("name", ["results.json", "report.md", "raw/suspect/answer-00000.json"])
def test_an_audit_that_does_not_hold_is_refused_with_the_reason(
    home: Path, book: Path, tmp_path: Path, name: str
) -> None:
    shutil.copytree(book, tmp_path / "book")
    place = tmp_path / "book" / "audit" / name
    place.write_bytes(place.read_bytes().replace(b"a", b"b", 1))
    words = ("dossier", "K0001", "--result", home / "result", "--store", home / "cases.db", "--as", "zelda")
    ran = ask(*words, "--out", tmp_path / "out", "--audit", tmp_path / "book" / "audit")
    assert ran.exit_code == 2 and "this audit does not hold" in ran.output and "Traceback" not in ran.output
    assert not (tmp_path / "out").exists()


def test_a_folder_that_is_no_audit_is_a_message(home: Path, book: Path, tmp_path: Path) -> None:
    words = ("dossier", "K0001", "--result", home / "result", "--store", home / "cases.db", "--out", tmp_path / "out")
    alone = shutil.copytree(book / "audit", tmp_path / "audit")
    for place, said in ((alone, "ledger.jsonl"), (tmp_path / "none", "ledger.jsonl"), (book, "plan.json")):
        ran = ask(*words, "--audit", place)
        assert ran.exit_code == 2 and "Fix:" in ran.output and "Traceback" not in ran.output, said
    assert audits.told({}, "K0001") == []


def test_the_console_gives_the_dossier_once_a_second_person_approved(
    home: Path, bundle: Path, book: Path, tmp_path: Path
) -> None:
    from tests.unit.console_stand import NO_LIMITS, Browser, kept_password, sound, version_in

    from clonewatch.cases import people
    from clonewatch.cases.changes import Who
    from clonewatch.service.app import create_app
    from clonewatch.service.settings import Settings

    store, key = str(shutil.copy(home / "cases.db", tmp_path)), home / "cases.db.key"
    more = {"log": open_log((str(home / "log"),)), "prices": EXAMPLES / "prices.toml", "audits": (book / "audit",)}
    held = Settings(store, key, result=home / "result", limits=NO_LIMITS, **more)
    app = create_app(held)
    browsers = {role: Browser(app) for role in ("analyst", "approver")}
    with opened(store, key).writing() as change:
        for role in browsers:
            who = Who("the test", held.clock())
            people.add(change, role, role, who)
            people.set_password(change, role, kept_password(), who)
    analyst, approver = (browsers[role] for role in browsers if browsers[role].sign_in(role).status_code == 303)
    refused = analyst.post("/cases/K0001/dossier")
    assert refused.status_code == 400 and "obody approved that the file of K0001" in refused.text
    page = analyst.get("/cases/K0001").text
    analyst.post("/cases/K0001/ask", what="export", why="a court asks", version=version_in(page))
    number = re.findall(r"/approvals/(\d+)", approver.get("/approvals").text)[0]
    assert approver.post(f"/approvals/{number}", state="approved").status_code == 303
    assert "Download its dossier" in analyst.get("/cases/K0001").text
    before = sound(opened(store, key))
    file = analyst.post("/cases/K0001/dossier")
    assert file.headers["content-disposition"] == 'attachment; filename="dossier-K0001.zip"'
    zipfile.ZipFile(io.BytesIO(file.content)).extractall(tmp_path)
    assert verified(tmp_path / "dossier-K0001").faults == ()
    given = dossier(tmp_path / "dossier-K0001")
    assert given["figures"] == dossier(home / "bundle")["figures"], "tokens and prices as on the command line"
    assert given["audits"] == dossier(bundle)["audits"]
    assert sound(opened(store, key)) == before + 1
    assert f"took out of the house: a dossier, request {number}" in analyst.get("/log").text
