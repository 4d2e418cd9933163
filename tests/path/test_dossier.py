"""From a case to a signed bundle that a stranger checks: by the program, and by the script that imports none of it."""

from __future__ import annotations

import html
import json
import os
import random
import shutil
import stat
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from hashlib import sha256
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from tests.required import required
from tests.unit.cases_stand import filled
from tests.unit.console_stand import Browser, Clock, invited, settings
from typer.testing import CliRunner

from clonewatch.adapters.reading import open_log
from clonewatch.campaigns.calibration import SCHEMA
from clonewatch.cases.changes import Who, annotate
from clonewatch.cases.heads import Signer, read_key
from clonewatch.cases.records import Entry, note_digest
from clonewatch.cases.store import Reading, new_note, opened
from clonewatch.cli.main import app
from clonewatch.dossier import documents, envelope, prices, proofs
from clonewatch.dossier.tables import usage
from clonewatch.dossier.verification import verified
from clonewatch.dossier.wording import worth
from clonewatch.dossier.writing import Order
from clonewatch.dossier.writing import export as written_out
from clonewatch.errors import StaleError
from clonewatch.lab.simulate import simulate
from clonewatch.service.app import create_app
from clonewatch.service.views.worth import Worths, counted

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
LACKING = [] if find_spec("typst") else ["typst"]
SCRIPT = EXAMPLES / "verify_dossier.py"


def ask(*words: object) -> Any:
    return CliRunner().invoke(app, [str(w) for w in words])


def done(*words: object) -> Any:
    ran = ask(*words)
    assert ran.exit_code == 0, ran.output
    return ran


@pytest.fixture(scope="module")
def script() -> Any:
    spec = spec_from_file_location("verify_dossier", SCRIPT)
    assert spec and spec.loader
    held = module_from_spec(spec)
    spec.loader.exec_module(held)
    return held


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log with one campaign, its scan, a case, and its bundle with tokens and prices."""
    home = tmp_path_factory.mktemp("dossier")
    simulate("s01_shared_cards", home / "log", seed=3, scale=0.05)
    done("scan", home / "log", "--out", home / "result", "--threads", 1, "--quiet")
    done("cases", "import", home / "result", "--store", home / "cases.db", "--as", "ximena")
    done(
        "cases",
        "rule",
        "K0001",
        "--confirmed",
        "--note",
        "asked sales",
        "--store",
        home / "cases.db",
        "--as",
        "quentin",
    )
    export(home, home / "bundle", "--log", home / "log", "--prices", EXAMPLES / "prices.toml")
    return home


def export(home: Path, out: Path, *more: object) -> Any:
    words = ("dossier", "K0001", "--result", home / "result", "--store", home / "cases.db", "--as", "zelda")
    return json.loads(done(*words, "--out", out, *more, "--json").stdout)


@pytest.fixture
def copy(home: Path, tmp_path: Path) -> Path:
    return shutil.copytree(home / "bundle", tmp_path / "copy")


def dossier(folder: Path) -> dict[str, Any]:
    held: dict[str, Any] = json.loads((folder / "dossier.json").read_bytes())
    return held


def figures(folder: Path) -> dict[str, Any]:
    return {one["name"]: one["value"] for one in dossier(folder)["figures"]}


def contents(folder: Path) -> dict[str, bytes]:
    """Every file but the envelope."""
    paths = [p for p in folder.rglob("*") if p.is_file() and p.name != envelope.NAME]
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in paths}


def resigned(folder: Path, signer: Signer) -> None:
    """Sign a bundle as it lies there: what its maker could do."""
    predicate = envelope.opened((folder / envelope.NAME).read_bytes()).predicate
    (folder / envelope.NAME).write_bytes(envelope.sealed(contents(folder), predicate, signer))


def logged_anew(folder: Path, home: Path) -> None:
    """Log a bundle as it lies there as exported, and sign it: what a maker does who lies from the beginning."""
    store = opened(str(shutil.copy(home / "cases.db", folder.parent)), home / "cases.db.key")
    note = new_note(proofs.export_note(proofs.contents_digest(contents(folder))))
    with store.writing() as change:
        digest = note_digest(note.salt, note.text)
        change.add(Entry("export", "2026-11-28T10:00:00Z", "eve", ("K0001",), note=digest), note)
    with store.reading() as reading:
        (folder / proofs.NAME).write_bytes(envelope.spelled(proofs.proofs(reading, "K0001")))
    resigned(folder, store.signer())


def test_a_bundle_holds_for_the_program_and_for_the_script(home: Path, script: Any) -> None:
    told = json.loads(done("verify", home / "bundle", "--json").stdout)
    assert told["holds"] and told["wording_was_compared"] and not told["key_was_given"]
    key = read_key(home / "cases.db.key").public.text
    assert told["key"] == key and "key that was given" in done("verify", home / "bundle", "--public-key", key).stdout
    assert script.verify(home / "bundle", key).startswith("holds: ")
    assert "import clonewatch" not in SCRIPT.read_text() and "from clonewatch" not in SCRIPT.read_text()
    assert len(SCRIPT.read_text(encoding="utf-8").splitlines()) <= 200


def test_the_script_runs_alone_and_says_by_its_exit_code_what_it_found(copy: Path) -> None:
    run = [sys.executable, "-I", str(SCRIPT), str(copy)]
    assert subprocess.run(run, capture_output=True, cwd=copy.parent).returncode == 0
    (copy / "letter.txt").unlink()
    refused = subprocess.run(run, capture_output=True, text=True, cwd=copy.parent)
    assert refused.returncode == 3 and refused.stdout.startswith("refused: letter.txt")


def test_a_bit_that_was_flipped_anywhere_is_refused_by_both(copy: Path, script: Any) -> None:
    names = sorted(p for p in copy.rglob("*") if p.is_file())
    assert len(names) > 12
    dice = random.Random(20261128)  # noqa: S311
    for path in names:
        whole = path.read_bytes()
        for place in {0, len(whole) - 1, *(dice.randrange(len(whole)) for _ in range(12 if path.suffix else 4))}:
            data = bytearray(whole)
            data[place] ^= 1 << dice.randrange(8)
            path.write_bytes(data)
            said = verified(copy).faults
            assert said, f"{path.name}, byte {place}"
            if path.name != envelope.NAME:
                assert path.name in said[0] and "was changed" in said[0]
            with pytest.raises(Exception):  # noqa: B017
                script.verify(copy)
        path.write_bytes(whole)
    assert verified(copy).faults == ()


@pytest.mark.parametrize("name", ["tables/members.parquet", "dossier.json", "letter.txt", "log.json"])
def test_a_file_that_is_missing_is_named(copy: Path, script: Any, name: str) -> None:
    (copy / name).unlink()
    assert verified(copy).faults == (f"{name} is missing",)
    with pytest.raises(ValueError, match=name):
        script.verify(copy)


def strange_file(copy: Path) -> None:
    (copy / "tables" / "more.parquet").write_bytes(b"")


def link(copy: Path) -> None:
    (copy / "link").symlink_to(copy / "letter.txt")


@pytest.mark.parametrize("adds", [strange_file, link])
def test_what_does_not_belong_there_is_refused(copy: Path, script: Any, adds: Callable[[Path], None]) -> None:
    adds(copy)
    assert len(verified(copy).faults) >= 1
    with pytest.raises(ValueError, match=r"belong|regular"):
        script.verify(copy)


def test_another_key_is_refused_by_whoever_knows_the_right_one(home: Path, copy: Path, script: Any) -> None:
    right = read_key(home / "cases.db.key").public
    resigned(copy, Signer("clonewatch-0", Ed25519PrivateKey.generate()))
    assert verified(copy).faults == (), "anybody can sign"
    assert "another key" in verified(copy, right).faults[0]
    with pytest.raises(ValueError, match="another key"):
        script.verify(copy, right.text)


def changed(copy: Path, change: Callable[[dict[str, Any]], None]) -> None:
    held = dossier(copy)
    change(held)
    (copy / "dossier.json").write_bytes(envelope.spelled(held))


def test_what_was_changed_after_the_export_is_refused_even_with_the_right_signature(
    home: Path, copy: Path, script: Any
) -> None:
    changed(copy, lambda held: held.update(summary=["It was Somebody Ltd."]))
    resigned(copy, read_key(home / "cases.db.key"))
    assert verified(copy).faults[0] == "the log has no entry about the export of these files"
    with pytest.raises(ValueError, match="no entry about the export"):
        script.verify(copy)


def test_every_figure_that_does_not_follow_from_the_tables_is_refused_by_both(
    home: Path, copy: Path, script: Any
) -> None:
    def forge(held: dict[str, Any]) -> None:
        for one in held["figures"]:
            one["value"] = -1

    names = set(figures(copy))
    changed(copy, forge)
    logged_anew(copy, home)
    faults = verified(copy).faults
    assert {fault.split()[1].rstrip(":") for fault in faults} == names and len(names) == 36
    with pytest.raises(ValueError, match="is not what the tables say"):
        script.verify(copy)
    held = verified(home / "bundle")
    tables = {name: table.to_pylist() for name, table in held.tables.items()}
    listed = tomllib.loads((home / "bundle" / "prices.toml").read_text(encoding="utf-8"))
    assert script.figures(tables, held.scan, listed) == figures(home / "bundle"), "the script knows all of them"


def test_a_table_that_its_maker_changed_is_refused_by_both(home: Path, copy: Path, script: Any) -> None:
    place = copy / "tables" / "members.parquet"
    pq.write_table(pq.read_table(place).slice(1), place)
    logged_anew(copy, home)
    assert verified(copy).faults[0] == "figure accounts: the dossier says 18, its tables say 17"
    with pytest.raises(ValueError, match="figure"):
        script.verify(copy)


def test_accounts_that_are_not_those_of_the_case_are_refused_by_both(home: Path, copy: Path, script: Any) -> None:
    place = copy / "tables" / "case_accounts.parquet"
    pq.write_table(pq.read_table(place).slice(1), place)
    logged_anew(copy, home)
    assert "the accounts are not those that K0001 has in the log" in verified(copy).faults
    with pytest.raises(ValueError, match="accounts"):
        script.verify(copy)


def test_words_and_documents_that_do_not_follow_are_refused(home: Path, copy: Path) -> None:
    changed(copy, lambda held: held.update(status={"code": "confirmed", "said": "It was Somebody Ltd."}))
    logged_anew(copy, home)
    faults = verified(copy).faults
    assert "part status of dossier.json does not follow from the tables and the log" in faults
    assert "letter.txt does not follow from dossier.json" in faults
    if not LACKING:
        assert "dossier.pdf does not follow from dossier.json" in faults


def test_the_scan_is_repeated_on_the_raw_log_and_another_log_is_refused(home: Path, tmp_path: Path) -> None:
    told = json.loads(done("verify", home / "bundle", "--log", home / "log", "--quiet", "--json").stdout)
    assert told["scan_was_repeated"] and told["holds"]
    other = shutil.copytree(home / "log", tmp_path / "log")
    (part,) = (other / "exchanges").glob("*.parquet")
    pq.write_table(pq.read_table(part).slice(0, 500), part)
    ran = ask("verify", home / "bundle", "--log", other, "--quiet")
    assert ran.exit_code == 3 and "an input of the scan is not in this log" in ran.stdout


def test_a_dossier_says_what_it_does_not_know_and_names_nobody(home: Path) -> None:
    held = dossier(home / "bundle")
    assert held["status"]["code"] == "confirmed" and "It names nobody" in held["status"]["said"]
    assert [rung["code"] for rung in held["ladder"]] == ["L0", "L1", "L2", "L3", "L4", "L5"]
    assert not any(rung["reached"] for rung in held["ladder"][4:]) and all(r["lacks"] for r in held["ladder"][4:])
    assert held["attribution"].startswith("None is made.")
    assert len(held["purpose"]["factors"]) == 4 and all(one["missing"] for one in held["purpose"]["factors"][1:])
    assert held["worth"]["student"] == "Not known." and held["worth"]["not_claimed"].startswith("No damage")
    assert all(one["window"]["first"] and one["counts"] for one in held["figures"])
    walk = held["crosswalk"]
    assert {"AML.T0040", "AML.T0021", "11.3.1"} <= {one["id"] for one in walk["items"]} and "no findings" in walk[
        "note"
    ]


def test_tokens_and_prices_are_those_of_the_log(home: Path) -> None:
    log = pq.read_table(home / "log" / "exchanges").to_pylist()
    rows = pq.read_table(home / "bundle" / "tables" / "attribution.parquet").to_pylist()
    mine = {row["exchange_id"] for row in rows if row["posterior"] >= 0.5}
    held = [row for row in log if row["exchange_id"] in mine]
    told = figures(home / "bundle")
    assert told["attributed_exchanges"] == len(held) == told["exchanges_with_tokens"] == told["exchanges_priced"]
    assert told["input_tokens"] == sum(row["input_tokens"] for row in held)
    assert told["list_price"] > 0


def group_page(place: Path, result: Path, worths: Worths | None) -> str:
    store = filled(str(place / "cases.db"))
    browser = Browser(
        create_app(settings(str(place / "cases.db"), None, Clock())._replace(result=result, worths=worths))
    )
    assert browser.choose(invited(store, "viewer", "viewer")).status_code == 303
    return html.unescape(browser.get("/campaigns/C0001").text)


def test_the_page_of_a_group_says_what_the_dossier_says_it_was_worth(home: Path, tmp_path: Path) -> None:
    log = open_log((str(home / "log"),))
    shown = group_page(tmp_path, home / "result", counted(home / "result", log, EXAMPLES / "prices.toml"))
    told = dossier(home / "bundle")
    assert all(said in shown for said in told["worth"].values())
    assert "tokens at list price, without discounts" in shown and 'id="worth"' in shown


def test_without_the_log_or_of_another_scan_nothing_is_said(home: Path, tmp_path: Path) -> None:
    log = open_log((str(home / "log"),))
    other = counted(home / "result", log, None)._replace(scan="another")
    for name, worths in (("none", None), ("other", other)):
        (tmp_path / name).mkdir()
        assert 'id="worth"' not in group_page(tmp_path / name, home / "result", worths)


def test_only_rows_of_the_group_leave_the_house(home: Path) -> None:
    for path in (home / "bundle" / "tables").glob("*.parquet"):
        table = pq.read_table(path)
        if "campaign_id" in table.column_names:
            assert set(table["campaign_id"].to_pylist()) <= {"C0001"}, path.name


def test_the_letter_holds_no_personal_data(home: Path) -> None:
    letter = (home / "bundle" / "letter.txt").read_text(encoding="utf-8")
    accounts = pq.read_table(home / "bundle" / "tables" / "case_accounts.parquet")["account_id"].to_pylist()
    assert not any(
        secret in letter for secret in [*accounts, "ximena", "quentin", "zelda", "asked sales", "K0001", "USD"]
    )
    assert sha256((home / "bundle" / "dossier.json").read_bytes()).hexdigest() in letter


def test_a_case_that_somebody_changes_meanwhile_is_not_exported(home: Path, tmp_path: Path) -> None:
    store = opened(str(shutil.copy(home / "cases.db", tmp_path)), home / "cases.db.key")
    asked: list[str] = []

    def meanwhile(_store: Reading, case: str) -> tuple[str, ...]:
        if not asked:
            with store.writing() as other:
                annotate(other, case, "their lawyer called", Who("ana", "2026-11-28T09:00:00Z"))
        asked.append(case)
        return ()

    order = Order("K0001", home / "result", None, None, meanwhile)
    with pytest.raises(StaleError, match="was changed while its dossier was made"):
        written_out(store, order, Who("bob", "2026-11-28T09:00:01Z"), tmp_path / "out", None)
    with store.reading() as held:
        assert held.history("K0001")[-1][1].what == "note" and not (tmp_path / "out").exists()


def test_the_export_is_in_the_log_of_the_store(home: Path) -> None:
    assert ask("log", "verify", home / "cases.db").exit_code == 0
    shown = done("cases", "show", "K0001", "--store", home / "cases.db").stdout
    assert "exported in a dossier" in shown and "zelda" in shown


@required("PDF files", LACKING)
def test_the_pdf_is_an_archive_file_and_the_same_every_time(home: Path) -> None:
    for name in ("dossier.pdf", "letter.pdf"):
        data = (home / "bundle" / name).read_bytes()
        assert data.startswith(b"%PDF-1.7") and b"<pdfaid:part>2</pdfaid:part>" in data
    told = dossier(home / "bundle")
    assert documents.typeset("dossier", told, told["made_at"]) == (home / "bundle" / "dossier.pdf").read_bytes()


@required("PDF files", LACKING)
def test_whatever_a_result_holds_can_be_set(home: Path) -> None:
    """Settings of a state are nested, a note is anybody's text, and every figure may be missing."""
    told = dossier(home / "bundle")
    told["method"]["settings"] = {"window_of": {"a": [1]}, "deep": {"b": {"c": [None, True, {}]}}, "none": None}
    told["method"]["warnings"] = ['#panic("x") *bold* $x$ `raw` <script> \u202e']
    told["method"]["calibration"] = None
    told["history"][0]["note"] = '#import "x": * ] } \\ ' * 100
    for one in told["figures"]:
        one["value"] = None if one["name"] != "list_price" else -0.004
    assert documents.typeset("dossier", told, told["made_at"]).startswith(b"%PDF")


def test_without_typst_all_but_the_pdf_is_written_and_that_is_said(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(documents, "find_spec", lambda name: None)
    words = ("dossier", "k0001", "--result", home / "result", "--store", home / "cases.db", "--as", "zelda")
    said = done(*words, "--out", tmp_path / "plain").stdout
    assert "No PDF was made" in said and "clonewatch[dossier]" in said
    assert not list((tmp_path / "plain").glob("*.pdf")) and verified(tmp_path / "plain").faults == ()
    assert "input_tokens" not in figures(tmp_path / "plain"), "no log was named"
    assert dossier(tmp_path / "plain")["worth"]["tokens"].startswith("Not known")


def test_a_key_of_ones_own_can_sign(home: Path, tmp_path: Path, script: Any) -> None:
    private = Ed25519PrivateKey.generate()
    file = tmp_path / "key.pem"
    file.write_bytes(private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    words = ("dossier", "K0001", "--result", home / "result", "--store", home / "cases.db", "--out", tmp_path / "own")
    assert "open to other users" in ask(*words, "--signing-key", file).output or os.name != "posix"
    file.chmod(stat.S_IRUSR | stat.S_IWUSR)
    key = export(home, tmp_path / "own", "--signing-key", file)["key"]
    (tmp_path / "key.txt").write_text(key + "\n")
    done("verify", tmp_path / "own", "--public-key", tmp_path / "key.txt")
    assert script.verify(tmp_path / "own", key).startswith("holds")


def test_a_case_in_review_is_plainly_no_finding(home: Path, tmp_path: Path) -> None:
    """The same log, by a calibration in which honest groups come as close: the flag is withdrawn."""
    honest = [[trust, size, 1.9] for trust in ("declared", "behaviour", "none") for size in (10, 50, 200)] * 120
    told = {"schema": SCHEMA, "source": "a test", "logs": 9, "groups": honest}
    (tmp_path / "calibration.json").write_text(json.dumps(told))
    chosen = ("--calibration", tmp_path / "calibration.json", "--threads", 1, "--quiet")
    done("scan", home / "log", "--out", tmp_path / "result", *chosen)
    done("cases", "import", tmp_path / "result", "--store", tmp_path / "cases.db")
    export(tmp_path, tmp_path / "bundle")
    held = dossier(tmp_path / "bundle")
    assert held["group"]["outcome"] == "review" and held["status"]["code"] == "no_finding"
    assert held["summary"][0] == held["status"]["said"] and held["summary"][0].startswith("This is not a finding.")
    assert "This is not a finding." in (tmp_path / "bundle" / "letter.txt").read_text(encoding="utf-8")
    assert "This is not a finding." in done("verify", tmp_path / "bundle").stdout
    ran = ask("verify", tmp_path / "bundle", "--log", home / "log", "--quiet")
    assert ran.exit_code == 2 and "--calibration FILE" in ran.output, "it is said what the scan was given"


PRICES = (EXAMPLES / "prices.toml").read_text(encoding="utf-8")
STUDENT = '[student]\nlow = 0.001\nhigh = 0.01\nunit = "USD for an exchange"\nsources = ["A. Author, 2026, p. 7"]\n'


def test_the_value_to_a_student_is_somebodys_range_with_sources_or_not_known() -> None:
    assert prices.parsed(PRICES.encode()).student is None
    held = prices.parsed((PRICES + STUDENT).encode())
    said = worth({}, held)["student"]
    assert said.startswith("Between 0.001 and 0.01 USD for an exchange, by A. Author, 2026, p. 7.")
    assert "not measured here" in said


@pytest.mark.parametrize(
    "wrong",
    [
        PRICES.replace("2026-11-01", '"yesterday"'),
        PRICES.replace("5.00", "-5.00"),
        PRICES.replace("5.00", "nan"),
        PRICES.replace("currency", "money"),
        PRICES.replace("an invented list, for trying it out", " "),
        PRICES + STUDENT.replace('"A. Author, 2026, p. 7"', ""),
        PRICES + STUDENT.replace("0.01\n", "0.0001\n"),
        "\x00",
    ],
)
def test_prices_without_a_day_a_source_or_sense_are_refused(wrong: str) -> None:
    with pytest.raises(ValueError):
        prices.parsed(wrong.encode())


BAD: tuple[tuple[tuple[str, ...], str], ...] = (
    (("--result", "{home}/log"), "this folder holds no result"),
    (("--result", "{home}/result", "--prices", "{home}/log/scenario.json", "--log", "{home}/log"), "no prices"),
    (("--result", "{home}/result", "--prices", "{home}/none.toml"), "prices need the log"),
    (("--result", "{home}/result", "--signing-key", "{home}/cases.db.key"), "no private key"),
    (("--result", "{home}/result", "--out", "{home}/log"), "something at this place"),
)


@pytest.mark.parametrize("words, said", BAD)
def test_bad_input_is_a_message_and_nothing_is_logged(
    home: Path, tmp_path: Path, words: tuple[str, ...], said: str
) -> None:
    def entries() -> Iterator[str]:
        yield done("cases", "show", "K0001", "--store", home / "cases.db").stdout

    before = [*entries()]
    given = [word.format(home=home) for word in words]
    ran = ask("dossier", "K0001", "--store", home / "cases.db", "--out", tmp_path / "out", *given)
    assert ran.exit_code == 2 and said in ran.output and "Traceback" not in ran.output
    assert [*entries()] == before


def test_a_folder_that_is_no_bundle_is_a_message(home: Path) -> None:
    for place in (home / "log", home / "none", home / "cases.db"):
        ran = ask("verify", place)
        assert ran.exit_code == 2 and "Fix:" in ran.output
    assert "no public key" in ask("verify", home / "bundle", "--public-key", "a+b+c").output


def test_tokens_of_an_id_that_two_exchanges_share_are_not_known(tmp_path: Path) -> None:
    lines = [("a", 1, 2), ("a", 1, 2), ("b", 3, 4), ("b", 3, 5), ("c", 7, None), ("other", 9, 9)]
    rows = [
        {"exchange_id": name, "account_id": "u", "ts": datetime(2026, 5, 1, tzinfo=UTC), "model": "m"}
        | {"input_tokens": into, "output_tokens": out}
        for name, into, out in lines
    ]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "exchanges.parquet")
    attribution = pa.table({"exchange_id": ["a", "b", "c", "d", "e"], "posterior": [0.9, 0.9, 0.9, 0.9, 0.1]})
    held = usage(attribution, open_log((str(tmp_path / "exchanges.parquet"),))).to_pylist()
    assert [(row["exchange_id"], row["known"]) for row in held] == [("a", True), *((name, False) for name in "bcd")]
    assert (held[0]["input_tokens"], held[0]["output_tokens"], held[0]["model"]) == (1, 2, "m")
