"""From a scan to cases, from rulings to the next scan, and back: through the command line, on one log."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx2
import pyarrow.parquet as pq
import pytest
from tests.path.policy_stand import EXAMPLE, Stand, decided, done, standing
from tests.unit.console_stand import PASSWORD, csrf_in
from typer.testing import CliRunner

import clonewatch
from clonewatch.cases import people
from clonewatch.cases.store import opened
from clonewatch.cli import case_options
from clonewatch.cli.main import app
from clonewatch.lab.simulate import simulate
from clonewatch_gateway import Facts, Follower, decide
from clonewatch_gateway.watch_list import Keys, trusted


def ask(*words: object) -> Any:
    return CliRunner().invoke(app, [str(w) for w in words])


def told(*words: object) -> Any:
    """What a command says as JSON."""
    done = ask(*words, "--json")
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log with one campaign, its scan, and the case of it."""
    home = tmp_path_factory.mktemp("cases")
    simulate("s01_shared_cards", home / "log", seed=3, scale=0.05)
    scan(home, "first")
    assert told("cases", "import", home / "first", "--store", home / "cases.db", "--as", "ana")["opened"] == ["K0001"]
    return home


def scan(home: Path, out: str, *more: object) -> Any:
    done = ask(
        "scan", home / "log", "--out", home / out, "--key", home / "key", "--threads", 1, "--quiet", *more, "--json"
    )
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def ruling(home: Path) -> dict[str, Any]:
    """The line of an innocent ruling on the case."""
    store = ("--store", home / "cases.db", "--as", "bob")
    done = ask("cases", "rule", "K0001", "--innocent", "one_customer", "--note", "contract 4711", *store)
    assert done.exit_code == 0, done.output
    out = home / "rulings.jsonl"
    assert told("cases", "export-rulings", "--out", out, *store[:2]) == {"rulings": 1, "answers": 0, "file": str(out)}
    line: dict[str, Any] = json.loads(out.read_text(encoding="utf-8"))
    return line


def test_a_flag_is_withheld_on_the_same_evidence_and_everything_says_so(home: Path, ruling: dict[str, Any]) -> None:
    before = clonewatch.load(home / "first").show("C0001")["campaign"]
    assert before["flagged"] and before["ruled"] == []
    assert sorted(before["families"]) == ruling["families"] and before["evidence_odds_bits"] == ruling["odds_bits"]
    after = scan(home, "second", "--answers", home / "rulings.jsonl", "--fail-on", "review")
    assert after["answer"] == "Nothing was flagged. 1 group stays innocent, as ruled: C0001 (18 accounts)."
    row = clonewatch.load(home / "second").show("C0001")["campaign"]
    assert (row["flagged"], row["outcome"], row["harvested_exchanges"]) == (False, "listed", 0)
    (held,) = row["ruled"]
    assert held["withholds"] and held["bits"] == -12.0 and row["answered"] == [] == held["news"]
    assert (held["case"], held["by"], held["note"]) == ("K0001", "bob", "contract 4711")
    assert row["evidence_odds_bits"] == before["evidence_odds_bits"], "the evidence is what it was"
    attribution = clonewatch.load(home / "second").attribution
    assert max(attribution["posterior"].to_pylist()) < 0.5
    assert "Ruled innocent by bob" in ask("show", "C0001", "--scan", home / "second").stdout
    assert "stays innocent, as ruled" in (home / "second" / "report.html").read_text(encoding="utf-8")
    again = told("cases", "import", home / "second", "--store", home / "cases.db")
    assert again == {"opened": [], "again": ["K0001"], "reopened": {}, "known": 0}


def test_more_evidence_than_was_ruled_on_is_flagged_with_what_is_new(home: Path, ruling: dict[str, Any]) -> None:
    """One ruling on half of the accounts and less evidence, and one that was over before the log ends."""
    rulings = home / "other.jsonl"
    less = ruling | {"accounts": ruling["accounts"][:9], "families": ruling["families"][1:], "odds_bits": 1.0}
    over = ruling | {"until": "2026-05-31"}
    rulings.write_text(json.dumps(less) + "\n" + json.dumps(over) + "\n", encoding="utf-8")
    after = scan(home, "third", "--answers", rulings)
    row = after["campaigns"][0]
    assert row["flagged"] and row["odds_bits"] == pytest.approx(row["evidence_odds_bits"])
    assert row["ruled"][0]["news"] == [
        "9 of 18 accounts were not ruled on",
        f"evidence of another family: {ruling['families'][0]}",
        f"odds higher by {row['evidence_odds_bits'] - 1:.1f} bits",
    ]
    assert "1 ruling ended before 2026-06-01, the last day of the log, and did not count" in after["scan"]["warnings"]
    assert "This is more than was ruled on: 9 of 18" in ask("show", "C0001", "--scan", home / "third").stdout


def test_a_ruled_case_is_opened_again_by_a_scan_that_finds_more(home: Path, tmp_path: Path) -> None:
    """The store knows a ruling on less than the scan has; the scan knew of no ruling."""
    store = tmp_path / "cases.db"
    from tests.unit.cases_stand import ANA, INNOCENT, group

    from clonewatch.cases.arrivals import arrive, groups
    from clonewatch.cases.changes import rule
    from clonewatch.cases.store import opened
    from clonewatch.pipeline.scan_result import read_summary, table_paths

    (found, *_) = groups(table_paths(home / "first"), read_summary(home / "first"))
    with opened(str(store), create=True).writing() as change:
        arrive(change, [group("C0009", sorted(found.accounts)[:9], families=("identity",), odds=None)], "ana", ANA.at)
        rule(change, ["K0001"], INNOCENT, ANA)
    again = told("cases", "import", home / "first", "--store", store)
    assert again["again"] == ["K0001"] and "9 of 18 accounts were not ruled on" in again["reopened"]["K0001"]
    case = told("cases", "show", "K0001", "--store", store)
    assert case["case"]["status"] == "open" and case["case"]["size"] == 18
    assert case["history"][-1]["said"].startswith("seen as C0001, flagged, in the scan to 2026-06-01; open again: 9 of")
    assert told("cases", "import", home / "first", "--store", store)["known"] == 1


def test_a_day_that_is_over_is_due_and_fails_a_morning_check(home: Path, tmp_path: Path) -> None:
    store = ("--store", tmp_path / "cases.db")
    told("cases", "import", home / "first", *store)
    told("cases", "assign", "K0001", "--to", "bob", "--due", "2026-01-31", *store)
    assert ask("cases", "due", *store).exit_code == 0
    done = ask("cases", "due", "--fail-on-overdue", *store)
    assert done.exit_code == 3 and "1 due up to" in done.stdout and "overdue" in done.stdout
    told("cases", "assign", "K0001", "--due", "", *store)
    assert told("cases", "due", *store)["due"] == []
    assert told("cases", "show", "K0001", *store)["case"]["assignee"] == "bob"
    assert told("cases", "list", "--assignee", "ana", *store)["cases"] == []
    member = told("cases", "show", "K0001", *store)["accounts"][0]
    assert [case["case"] for case in told("cases", "list", "--account", member, *store)["cases"]] == ["K0001"]
    assert told("cases", "list", "--account", "nobody", *store) == {"cases": [], "all": 1}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("rule", "K0001"), "a ruling is missing"),
        (("rule", "K0001", "--confirmed", "--needs-more"), "it takes one ruling"),
        (("rule", "K0001", "--innocent", "who"), "there is no innocent explanation 'who'"),
        (("rule", "K0001", "--innocent", "app_users", "--until", "soon"), "'soon' is no day"),
        (("rule", "K0001", "--innocent", "app_users", "--until", "2020-01-01"), "2020-01-01 is over"),
        (("rule", "K0001", "--innocent", "app_users", "--scope", "accounts"), "needs an end"),
        (("rule", "K0001", "--innocent", "app_users", "--scope", "world"), "of scope 'world'"),
        (("rule", "K0001", "--confirmed", "--until", "2999-01-01"), "only an innocent ruling"),
        (("rule", "K0009", "--confirmed"), "there is no case 'K0009'"),
        (("rule", "--confirmed", "--if-version", "1"), "Missing argument"),
        (("note", "K0001", " "), "the note is empty"),
        (("assign", "K0001"), "neither a person nor a day"),
        (("merge", "K0001", "--into", "K0001"), "cannot be merged into itself"),
        (("split", "K0001", "--account", "nobody"), "are not in K0001: nobody"),
        (("split", "K0001"), "leaves one of both parts of K0001 empty"),
        (("split", "K0001", "--accounts", "no-such-file"), "cannot read the accounts"),
        (("undo", "K0009"), "there is no case"),
        (("import", "."), "this folder holds no result"),
    ],
)
def test_what_cannot_be_done_says_why_and_changes_nothing(home: Path, words: tuple[str, ...], said: str) -> None:
    before = told("log", "verify", home / "cases.db")
    done = ask("cases", *words, "--store", home / "cases.db")
    assert done.exit_code == 2 and said in done.stderr, done.output
    assert told("log", "verify", home / "cases.db") == before


def test_a_result_of_an_earlier_version_is_refused_by_name(home: Path, tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    from clonewatch.cases.arrivals import groups
    from clonewatch.model.errors import InputError
    from clonewatch.pipeline.scan_result import read_summary, table_paths

    first = home / "first"
    for name in ("scan.json", "members.parquet"):
        (tmp_path / name).write_bytes((first / name).read_bytes())
    older = pq.read_table(first / "campaigns.parquet").drop_columns(["families"])
    pq.write_table(older, tmp_path / "campaigns.parquet")
    done = ask("cases", "import", tmp_path, "--store", tmp_path / "cases.db")
    assert done.exit_code == 2 and "this folder holds no complete result" in done.stderr
    with pytest.raises(InputError, match="families") as refused:
        groups(table_paths(first) | {"campaigns": tmp_path / "campaigns.parquet"}, read_summary(first))
    assert "of this version" in refused.value.fix


def test_groups_of_a_result_that_somebody_changed_are_not_brought_in(home: Path, tmp_path: Path) -> None:
    changed = tmp_path / "changed"
    shutil.copytree(home / "first", changed)
    data = bytearray((changed / "members.parquet").read_bytes())
    data[len(data) // 2] ^= 1
    (changed / "members.parquet").write_bytes(data)
    done = ask("cases", "import", changed, "--store", tmp_path / "cases.db")
    assert done.exit_code == 2 and "members.parquet is not what was written" in done.stderr
    assert (
        not (tmp_path / "cases.db").exists() or told("cases", "list", "--store", tmp_path / "cases.db")["cases"] == []
    )


def test_without_the_extra_the_commands_say_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(case_options, "_NEEDS", ("sqlalchemy", "clonewatch_no_such_module"))
    for words in (("cases", "list"), ("log", "verify", "x")):
        done = ask(*words)
        assert done.exit_code == 2 and "pip install 'clonewatch[cases]'" in done.stderr


def test_names_and_notes_of_any_kind_come_back_as_they_were(home: Path, tmp_path: Path) -> None:
    store = ("--store", tmp_path / "cases.db")
    told("cases", "import", home / "first", *store, "--as", "")
    odd = 'Zoë "x" \n\u202e 名 \x1b[31m'
    told("cases", "note", "K0001", odd, "--as", odd, *store)
    held = told("cases", "show", "K0001", *store)["history"]
    assert [held[-1]["note"], held[-1]["by"], held[0]["by"]] == [odd, odd, ""]
    shown = ask("cases", "show", "K0001", *store).stdout
    assert "\x1b" not in shown and "\u202e" not in shown
    bad = ask("cases", "note", "K0001", "\udce9", *store)
    assert bad.exit_code == 2 and "no text" in bad.stderr
    assert told("log", "verify", tmp_path / "cases.db")["holds"]


def test_one_command_opens_the_console_with_the_groups_of_a_result_in_the_queue(home: Path, tmp_path: Path) -> None:
    store = tmp_path / "cases.db"
    words = [
        "-c",
        "from clonewatch.cli.main import run; run()",
        "console",
        str(home / "first"),
        "--store",
        str(store),
        "--port",
        "0",
    ]
    with subprocess.Popen([sys.executable, *words], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            lines = [process.stdout.readline() for _ in range(3)]
            assert lines[0] == "1 case opened, 0 seen again.\n"
            address = re.search(r"http://127\.0\.0\.1:\d+", lines[1])
            link = re.search(r"http://\S+/welcome/\S+", lines[2])
            assert address and link and link[0].startswith(address[0])
            with httpx2.Client(base_url=address[0], follow_redirects=True, timeout=60) as browser:
                assert browser.get("/alive").json() == {"alive": True}
                form = csrf_in(browser.get(link[0]).text)
                page = browser.post(link[0], data={"csrf": form, "password": PASSWORD, "again": PASSWORD}).text
            assert re.findall(r'class="case" href="/cases/(K\d+)"', page) == ["K0001"]
            assert "1 case, of 1 in the store." in page
        finally:
            process.send_signal(signal.SIGINT)
        assert process.wait(timeout=60) in (0, 130)
    with opened(str(store)).reading() as held:
        seen = held.case("K0001").seen
        row = clonewatch.load(home / "first").show("C0001")["campaign"]
        assert (seen.limiting, seen.ratio, seen.question) == (
            row["limiting_criterion"],
            row["limiting_ratio"],
            row["question"],
        )
        (admin,) = people.everybody(held.connection)
        assert (admin.name, admin.role, bool(admin.password)) == ("admin", "admin", True)


@pytest.fixture(scope="module")
def stand(home: Path) -> Stand:
    return standing(home)


def test_a_scan_becomes_decisions_that_are_enforced_only_where_two_persons_said_so(
    stand: Stand, tmp_path: Path
) -> None:
    first = stand.publish()
    follower = stand.follower(first["public_key"])
    account, other = stand.core[:2]
    assert first["enforced"] == {} and first["simulated"]["throttle-harvest"] >= len(stand.core)
    shadow = decided(follower, account)
    assert shadow.simulated and shadow.action == "throttle_slice" and shadow.status == 0
    # The slice is known by the fingerprints that a gateway makes with the key of the scan.
    mine = pq.read_table(stand.home / "log" / "exchanges", filters=[("account_id", "=", account)])["template_id"]
    asked = frozenset(f"template:{one:016x}" for one in mine.to_pylist() if one is not None)
    assert decide(account, Facts(30_000, asked), follower.current, time.time()).would == 429
    assert decide(account, Facts(30_000, frozenset({"template:0"})), follower.current, time.time()).would == 0
    assert all(decided(follower, one).reason == "not_listed" for one in (*stand.honest, *stand.bystanders))

    store = ("--store", tmp_path / "cases.db")
    done("cases", "import", stand.home / "first", *store)
    done("cases", "rule", "K0001", "--confirmed", "--as", "ana", *store)
    words = ["--measure", "budget", "--ground", "Section 4", "--because", "seen twice", "--as", "ana"]
    done("appeals", "ask", "K0001", *words, *store)
    # One person asked, nobody approved: it stays shadow, though the ruling now selects the rule.
    assert stand.publish(*store)["enforced"] == {} and decided(follower, account).simulated
    notices = tmp_path / "notices.jsonl"
    done("appeals", "begin", "B0001", "--out", notices, "--as", "bob", "--url", "https://example.com", *store)
    told = stand.publish(*store)
    assert told["kind"] == "delta" and told["enforced"]["budget-confirmed"] >= len(stand.core)
    held = decided(follower, account, 59_000)
    assert (held.action, held.simulated, held.case, held.charge) == ("budget", False, "K0001", "K0001")
    notice = dict(held.headers)["account-notice"]
    assert 'case="K0001"' in notice and 'appeal="https://api.example.com/appeal"' in notice
    assert decided(follower, account, 61_000).status == 429
    assert all(decided(follower, one).reason == "not_listed" for one in (*stand.honest, *stand.bystanders))
    # A suspension was not asked for, so the rule that suspends is nothing but simulated, and the budget stays.
    assert "suspend-confirmed" not in told["enforced"]

    done("appeals", "receive", "B0001", "--account", account, "we are a school", *store)
    done("appeals", "answer", "A0001", "--overturn", "--because", "they are", "--as", "eva", *store)
    told = stand.publish(*store)
    assert (told["kind"], told["rows"], told["cleared"], told["unbound"]) == ("delta", 1, 1, {})
    # Nothing of it is left, not even in shadow: the same evidence says nothing about that account any more.
    assert decided(follower, account, 61_000).reason == "not_listed"
    assert decided(follower, other, 61_000).status == 429

    done("appeals", "end", "B0001", "--note", "enough", "--as", "ana", *store)
    assert stand.publish(*store)["enforced"] == {}
    assert decided(follower, other, 61_000).status == 0


def test_whoever_is_under_a_measure_that_no_rule_bounds_is_counted(stand: Stand, tmp_path: Path) -> None:
    store = ("--store", tmp_path / "cases.db")
    done("cases", "import", stand.home / "first", *store)
    done("cases", "rule", "K0001", "--confirmed", "--as", "ana", *store)
    words = ["--measure", "verify", "--ground", "Section 4", "--because", "seen twice", "--as", "ana"]
    done("appeals", "ask", "K0001", *words, *store)
    done("appeals", "begin", "B0001", "--out", tmp_path / "n", "--as", "bob", "--url", "https://example.com", *store)
    told = stand.publish(*store, "--list", "other", "--out", tmp_path / "list")
    assert told["enforced"] == {} and told["unbound"]["verify"] >= len(stand.core)


def test_a_canary_that_is_in_a_group_is_left_out_and_one_of_your_own_is_limited_for_seconds(
    stand: Stand, tmp_path: Path
) -> None:
    for account in (stand.core[0], stand.bystanders[0] if stand.bystanders else stand.core[1], "canary-1"):
        policy = tmp_path / "policy.toml"
        own = f'\n[canary]\naccount = "{account}"\napproved_by = "ana"\nmode = "enforce"\nseconds = 9\n'
        policy.write_text(EXAMPLE.read_text() + own)
        words = ["policy", "publish", policy, "--scan", stand.home / "first", "--out", tmp_path / "list"]
        keys = ["--signing-key", stand.home / "list.pem", "--account-key", stand.home / "account.key"]
        told = json.loads(done(*words, *keys, "--json").stdout)
        secret = bytes.fromhex((stand.home / "account.key").read_text())
        held = decided(Follower(tmp_path / "list", Keys(trusted([told["public_key"]]), secret)), account, 2)
        if account == "canary-1":
            assert (told["canary"], held.status, held.case) == (account, 429, "canary")
            assert held.expiry - time.time() <= 9
        else:
            assert told["canary"] is None and held.status == 0


def test_set_up_that_is_wrong_is_said_and_nothing_is_written(stand: Stand, tmp_path: Path) -> None:
    (tmp_path / "short.key").write_text("abc")
    (tmp_path / "short.key").chmod(0o600)
    base = ["policy", "publish", EXAMPLE, "--scan", stand.home / "first", "--out", tmp_path / "list"]
    keys = {"--signing-key": stand.home / "list.pem", "--account-key": stand.home / "account.key"}
    for wrong in (
        {"--signing-key": tmp_path / "none.pem"},
        {"--signing-key": EXAMPLE},
        {"--account-key": tmp_path / "short.key"},
        {"--account-key": Path(EXAMPLE) / "key"},
        {"--scan": tmp_path},
        {"--store": tmp_path / "none.db"},
        {"--out": EXAMPLE},
    ):
        ran = ask(*base, *(word for pair in ({**keys, **wrong}).items() for word in pair))
        assert ran.exit_code == 2 and "Error: " in ran.output, (wrong, ran.output)
        assert not (tmp_path / "list").exists()
