"""The evidence pages say what the tables say, to the last row, and nothing that a log wrote becomes markup."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.unit import report_tables as made
from tests.unit.console_stand import Browser, sound
from tests.unit.evidence_stand import listed_anew, showing, written

from clonewatch import ScanResult
from clonewatch.errors import InputError, StaleError
from clonewatch.kernels.arrow import arrow_schema
from clonewatch.lab.simulate import simulate
from clonewatch.model import schema
from clonewatch.pipeline.intake.kept_text import KEPT
from clonewatch.pipeline.scan import ScanSettings, scan
from clonewatch.pipeline.scan_result import load
from clonewatch.service.pages import HERE
from clonewatch.service.views.alike import carried, picture, shared
from clonewatch.service.views.comparison import comparison
from clonewatch.service.views.glossary import DEFINED
from clonewatch.service.views.listing import SORTS, Wanted, listed
from clonewatch.service.views.pools import pool, pools
from clonewatch.service.views.results import PAGE, cards, exchanges, opened

EVIL = "\"><script>alert(1)</script><img src=x onerror=alert(1)>'{{7*7}}\u202egnp"
# Groups are named by the scan, not by the log: this is a result that somebody made by hand.
GROUP = "\"><b>{{7*7}}'"
# Of a group named by its id, and of an account.
PAGES = (
    "/campaigns/{group}",
    "/campaigns/{group}/accounts",
    "/campaigns/{group}/exchanges",
    "/campaigns/{group}/policies",
    "/accounts/{account}",
    "/compare",
    "/compare?one={group}&other={other}",
    "/pools",
    "/pools/{group}",
)


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> ScanResult:
    """A scan of a small simulated log with three harvests, in a folder."""
    home = tmp_path_factory.mktemp("evidence")
    simulate("demo", home / "log", seed=2, scale=0.4)
    scan(ScanSettings(paths=(str(home / "log"),), threads=2, out=home / "result"))
    return load(home / "result")


@pytest.fixture(scope="module")
def viewer(found: ScanResult, tmp_path_factory: pytest.TempPathFactory) -> Browser:
    return showing(tmp_path_factory.mktemp("console"), found.directory).as_["viewer"]


def text_of(page: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", page))


def ids_in(page: str) -> list[str]:
    """Account ids of the rows of a list."""
    return re.findall(r'data-head="Account"><a href="/accounts/([^"]*)"', page)


def names(result: ScanResult) -> list[str]:
    held: list[str] = result.campaigns["campaign_id"].to_pylist()
    return held


def pages_for(group: str, other: str, account: str) -> list[str]:
    def plain(text: str) -> str:
        return quote(text, safe="")

    return [page.format(group=plain(group), other=plain(other), account=plain(account)) for page in PAGES]


def test_every_page_of_every_group_opens(found: ScanResult, viewer: Browser) -> None:
    assert found.flagged.num_rows >= 2, "nothing to show"
    for name in names(found):
        member = found.show(name)["members"][0]["account_id"]
        for path in pages_for(name, next(n for n in names(found) if n != name), member):
            page = viewer.get(path)
            assert page.status_code == 200, path
            assert not re.search(r"\sstyle=|\son\w+=|<script(?![^>]*\ssrc=)|<style", page.text), path


def test_a_group_says_what_its_row_says_with_window_and_definitions(found: ScanResult, viewer: Browser) -> None:
    for row in found.campaigns.to_pylist():
        text = text_of(viewer.get(f"/campaigns/{row['campaign_id']}").text)
        for number in (row["accounts"], row["harvested_exchanges"], row["exchanges"]):
            assert f"{number:,}" in text
        assert "Window of the log" in text and "Not said" in text
        for reason in found.show(row["campaign_id"])["evidence"]:
            # The title of a piece stands above it, and is not said again.
            known = cards().find(reason["signal"])
            told = re.sub(r"\s+", " ", reason["reason"]).removeprefix(f"{known.card.title}: " if known else "")
            assert told[:60].replace("'", "&#39;") in text


def test_the_list_leaves_nobody_out(found: ScanResult, viewer: Browser) -> None:
    name = max(names(found), key=lambda n: len(found.show(n)["members"]))
    wanted = {m["account_id"] for m in found.show(name)["members"]}
    for sort in SORTS:
        listed_: list[str] = []
        page = 1
        while ids := ids_in(viewer.get(f"/campaigns/{name}/accounts?sort={sort}&page={page}").text):
            listed_ += ids if page == 1 or ids[0] not in listed_ else []
            if len(ids) < PAGE:
                break
            page += 1
        assert sorted(listed_) == sorted(wanted), sort


def test_an_account_is_explained_as_the_command_explains_it(found: ScanResult, viewer: Browser) -> None:
    name = found.flagged["campaign_id"][0].as_py()
    for member in found.show(name)["members"][:3]:
        (place,) = found.why(member["account_id"])
        page = viewer.get(f"/accounts/{member['account_id']}")
        text = text_of(page.text)
        assert f"It is in {name} because it shares" in text
        assert f"{member['harvested_exchanges']:,}" in text
        for attribute in [t for t in place["attributes"]][:3]:
            assert attribute["attribute"] in text
        asked = f"/campaigns/{name}/exchanges?account={member['account_id']}"
        assert asked.replace("&", "&amp;") in page.text


def test_the_rows_behind_a_figure_are_all_there(found: ScanResult) -> None:
    name = found.flagged["campaign_id"][0].as_py()
    account = found.show(name)["members"][0]["account_id"]
    rows = found.attribution.to_pylist()
    for who in ("", account):
        wanted = sorted(x["exchange_id"] for x in rows if x["campaign_id"] == name and who in ("", x["account_id"]))
        with opened(found.directory) as result:
            got: list[str] = []
            after = ""
            while True:
                part = exchanges(result, name, who, after)
                got += [x["exchange_id"] for x in part.rows]
                after = part.after
                if not after:
                    break
        assert got == wanted
    with opened(found.directory) as result:
        assert [x["exchange_id"] for x in exchanges(result, name, only=wanted[1]).rows] == [wanted[1]]


def test_rows_are_found_in_whichever_part_of_a_long_table_they_are(tmp_path: Path) -> None:
    tables = made.scan(flagged=2, linked=0, accounts=4)
    rows = [
        {"exchange_id": f"x{i:03d}", "campaign_id": name, "posterior": 0.9, "account_id": f"a{i % 3}"}
        for name in ("C1", "C2")
        for i in range(120)
    ]
    folder = written(tmp_path / "result", tables)
    pq.write_table(made.table(schema.ATTRIBUTION, rows), folder / "attribution.parquet", row_group_size=7)
    listed_anew(folder)
    with opened(folder) as result:
        first = exchanges(result, "C2")
        second = exchanges(result, "C2", after=first.after)
        assert [x["exchange_id"] for x in first.rows + second.rows] == [f"x{i:03d}" for i in range(100)]
        assert {x["campaign_id"] for x in first.rows} == {"C2"}
        assert len(exchanges(result, "C1", "a1").rows) == 40
        assert exchanges(result, "C1", only="x077").rows[0]["account_id"] == "a2"


def alike_slowly(found: ScanResult, name: str) -> Counter[frozenset[tuple[str, str]]]:
    """Accounts by exactly what they carry."""
    held: defaultdict[str, set[tuple[str, str]]] = defaultdict(set)
    for row in found.tables["attribute_accounts"].to_pylist():
        if row["campaign_id"] == name:
            held[row["account_id"]].add((row["signal"], row["attribute"]))
    return Counter(frozenset(carried_) for carried_ in held.values())


def test_the_picture_counts_every_account_once(found: ScanResult) -> None:
    for name in names(found):
        slowly = alike_slowly(found, name)
        with opened(found.directory) as result:
            sets, members = shared(result, name), found.show(name)["members"]
            drawn = picture(sets, len(members))
            assert sum(row.size for row in drawn.rows) + drawn.rest == sum(slowly.values()) == drawn.accounts
            assert [row.size for row in drawn.rows] == sorted(slowly.values(), reverse=True)[: len(drawn.rows)]
            for row in drawn.rows:
                assert listed(result, name, Wanted(pattern=row.pattern)).total == row.size
            for attribute in sets.attributes[:5]:
                total = listed(result, name, Wanted(attribute=attribute.bit + 1)).total
                key = (attribute.row["signal"], attribute.row["attribute"])
                assert total == sum(n for carried_, n in slowly.items() if key in carried_)


def test_what_an_account_lacks_is_what_most_others_have(tmp_path: Path) -> None:
    tables = made.scan(flagged=1, linked=0, accounts=9)
    rows = tables["attribute_accounts"].to_pylist()
    for row in rows:
        row |= {"signal": "payment", "attribute": tables["attributes"]["attribute"][0].as_py()}
    rows = [row for row in rows if row["account_id"] != "C1-acct-00003"]
    lone = {"signal": "egress", "attribute": "0100" + "9f3a7c11d2e4b6", "account_id": "C1-acct-00003"}
    tables["attribute_accounts"] = made.table(schema.ATTRIBUTE_ACCOUNTS, [*rows, {"campaign_id": "C1"} | lone])
    with opened(written(tmp_path / "result", tables)) as result:
        mine, common = carried(shared(result, "C1"), "C1-acct-00003")
    assert [t.kind for t in mine] == ["egress"] and [t.kind for t in common] == ["payment"]


def test_twenty_five_thousand_accounts_are_all_in_the_list_and_the_picture(tmp_path: Path) -> None:
    folder = written(tmp_path / "result", made.scan(flagged=1, linked=0, accounts=25_000))
    browser = showing(tmp_path, folder).as_["viewer"]
    page = browser.get("/campaigns/C1").text
    assert "25,000 accounts" in text_of(page) and "Page 1 of 500" in text_of(page)
    assert len(page) < 400_000, "a page that a phone can take"
    last = ids_in(browser.get("/campaigns/C1/accounts?sort=account&page=500").text)
    assert last[-1] == "C1-acct-24999" and len(last) == PAGE
    with opened(folder) as result:
        drawn = picture(shared(result, "C1"), 25_000)
        assert sum(row.size for row in drawn.rows) + drawn.rest + drawn.unlinked == 25_000
        assert carried(shared(result, "C1"), "C1-acct-00000")[0]


@pytest.mark.parametrize("wanted", [{"sort": "no"}, {"role": "no"}, {"fate": "no"}, {"pattern": "zz"}, {"page": 10**6}])
def test_what_a_list_does_not_know_is_as_if_it_had_not_been_asked_for(
    found: ScanResult, wanted: dict[str, Any]
) -> None:
    name = names(found)[0]
    with opened(found.directory) as result:
        got = listed(result, name, Wanted(**wanted))
        assert got.total == got.all_ == len(found.show(name)["members"])
        assert got.rows


def test_filters_of_a_list(tmp_path: Path) -> None:
    folder = written(tmp_path / "result", made.scan(flagged=1, linked=0, accounts=60))
    with opened(folder) as result:
        assert [r["account_id"] for r in listed(result, "C1", Wanted(text="ACCT-0003", sort="account")).rows] == [
            f"C1-acct-0003{i}" for i in range(10)
        ]
        assert listed(result, "C1", Wanted(role="fringe")).total == 6
        assert listed(result, "C1", Wanted(fate="banned")).total == 15
        assert listed(result, "C1", Wanted(fate="not banned")).total == 45
        turned = listed(result, "C1", Wanted(sort="account", turned=1)).rows
        assert turned[0]["account_id"] == "C1-acct-00059"
        assert listed(result, "C1", Wanted(text=".*")).total == 0, "a text is no pattern"


def hostile(tmp_path: Path) -> Path:
    """A result in which every text is hostile."""
    tables = made.scan(flagged=2, linked=1, accounts=6)
    renamed = {name: f"{name}{GROUP}" for name in ("C1", "C2", "G1")}
    for name, table in tables.items():
        for column in table.column_names:
            if table[column].type != pa.string():
                continue
            held = table[column].to_pylist()
            if column == "campaign_id":
                held = [renamed[v] for v in held]
            elif column not in ("outcome", "limiting_criterion", "question"):
                held = [None if v is None else f"{v}{EVIL}" for v in held]
            table = table.set_column(table.column_names.index(column), column, pa.array(held, pa.string()))
        tables[name] = table
    rows = tables["campaigns"].to_pylist()
    rows[0] |= {"tasks": [(EVIL, 5)], "outcome": EVIL, "limiting_criterion": EVIL, "question": EVIL, "families": [EVIL]}
    tables["campaigns"] = made.table(schema.CAMPAIGNS, rows)
    evidence = [row | {"exchange_ids": [EVIL]} for row in tables["evidence"].to_pylist()]
    tables["evidence"] = made.table(schema.EVIDENCE, evidence)
    summary = made.summary() | {"warnings": [EVIL], "version": EVIL, "window": {"first": EVIL, "last": EVIL}}
    for one in summary["signals"]:
        one |= {"name": EVIL, "family": EVIL, "missing": [EVIL]}
    return written(tmp_path / "result", tables, summary)


def test_no_field_of_a_result_becomes_markup(tmp_path: Path) -> None:
    folder = hostile(tmp_path)
    browser = showing(tmp_path, folder).as_["viewer"]
    account = f"C1-acct-00001{EVIL}"
    for path in pages_for(f"C1{GROUP}", f"C2{GROUP}", account):
        page = browser.get(path)
        assert page.status_code == 200, path
        # What a form sends back has to be what the table holds.
        shown = re.sub(r'<option value="[^"]*"', "<option", page.text)
        assert not re.search(r"<script>|<img src=x|<b>|49'|\u202e", shown), path
    assert "&lt;script&gt;" in browser.get(f"/accounts/{quote(account, safe='')}").text, "it is shown, as text"
    assert f"/accounts/{quote(account, safe='')}" in browser.get(f"/campaigns/{quote(f'C1{GROUP}', safe='')}").text


@pytest.mark.parametrize("name", ["../../etc/passwd", "a/b/c", "100 %", "x" * 3000, "ä ö", "?a=b#c", " ", "."])
def test_an_account_has_its_page_whatever_it_is_called(tmp_path: Path, name: str) -> None:
    tables = made.scan(flagged=1, linked=0, accounts=4)
    ids = [name, *tables["members"]["account_id"].to_pylist()[1:]]
    tables["members"] = tables["members"].set_column(1, "account_id", pa.array(ids))
    browser = showing(tmp_path, written(tmp_path / "result", tables)).as_["viewer"]
    (link,) = [x for x in ids_in(browser.get("/campaigns/C1").text) if not x.startswith("C1-")]
    if name != ".":  # browsers and clients take a lone dot for the folder itself
        assert "It is in C1 because" in browser.get(f"/accounts/{link}").text


@pytest.mark.parametrize("absent", [t.name for t in schema.RESULTS])
def test_a_result_without_a_table_is_a_message(tmp_path: Path, absent: str) -> None:
    folder = written(tmp_path / "result", made.scan(flagged=2, linked=0, accounts=6))
    (folder / f"{absent}.parquet").unlink()
    browser = showing(tmp_path, folder).as_["viewer"]
    for path in pages_for("C1", "C2", "C1-acct-00001"):
        page = browser.get(path)
        assert page.status_code == 404 and "no complete result" in page.text, path


@pytest.mark.parametrize("empty", [t.name for t in schema.RESULTS if t.name != "campaigns"])
def test_a_result_with_an_empty_table_still_has_its_pages(tmp_path: Path, empty: str) -> None:
    tables = made.scan(flagged=2, linked=0, accounts=6)
    tables[empty] = tables[empty].slice(0, 0)
    browser = showing(tmp_path, written(tmp_path / "result", tables)).as_["viewer"]
    for path in pages_for("C1", "C2", "C1-acct-00001"):
        status = browser.get(path).status_code
        assert status == (404 if empty == "members" and path.startswith("/accounts") else 200), path


@pytest.mark.parametrize("name", [t.name for t in schema.RESULTS])
def test_a_table_of_nulls_still_has_its_pages(tmp_path: Path, name: str) -> None:
    tables = made.scan(flagged=2, linked=0, accounts=6)
    kept, held = {"campaign_id", "account_id", "flagged"}, tables[name]
    tables[name] = pa.table(
        {c: held[c] if c in kept else pa.nulls(held.num_rows, held[c].type) for c in held.column_names}
    )
    browser = showing(tmp_path, written(tmp_path / "result", tables)).as_["viewer"]
    for path in pages_for("C1", "C2", "C1-acct-00001"):
        assert browser.get(path).status_code == 200, path


def test_a_result_without_groups_says_so(tmp_path: Path) -> None:
    tables = {name: table.slice(0, 0) for name, table in made.scan(flagged=1, linked=0, accounts=2).items()}
    browser = showing(tmp_path, written(tmp_path / "result", tables)).as_["viewer"]
    assert "no groups" in browser.get("/pools").text
    assert "nothing to compare" in browser.get("/compare").text
    for path in ("/campaigns/C0001", "/pools/C0001", "/compare?one=C1&other=C2", "/accounts/nobody"):
        assert browser.get(path).status_code == 404, path


def test_an_older_result_says_what_it_does_not_know(tmp_path: Path) -> None:
    tables = made.scan(flagged=1, linked=0, accounts=6)
    tables["models"] = tables["models"].slice(0, 0)
    new = ["exchanges", "first_ts", "last_ts", "created_ts", "banned_ts", "unbanned_ts"]
    tables["members"] = tables["members"].drop_columns(new)
    browser = showing(tmp_path, written(tmp_path / "result", tables)).as_["viewer"]
    assert "scan again with this version" in browser.get("/pools/C1").text
    assert "scan again with this version" in browser.get("/accounts/C1-acct-00001").text


def test_a_mistyped_account_is_told_what_it_may_have_meant(found: ScanResult, viewer: Browser) -> None:
    account = found.members["account_id"][0].as_py()
    page = viewer.get(f"/accounts/{account[:-1]}")
    assert page.status_code == 404 and f"/accounts/{account}" in page.text
    assert "does not clear it" in page.text


def test_a_result_that_was_replaced_is_shown_anew_and_old_links_say_so(tmp_path: Path) -> None:
    folder = written(tmp_path / "result", made.scan(flagged=1, linked=0, accounts=6))
    browser = showing(tmp_path, folder).as_["viewer"]
    with opened(folder) as result:
        old = result.scan
    assert browser.get(f"/campaigns/C1?scan={old}").status_code == 200
    written(folder, made.scan(flagged=1, linked=0, accounts=9))
    assert len(ids_in(browser.get("/campaigns/C1").text)) == 9
    page = browser.get(f"/campaigns/C1?scan={old}")
    assert page.status_code == 409 and "another one took its place" in page.text


def test_no_page_is_made_from_two_results(tmp_path: Path) -> None:
    folder = written(tmp_path / "result", made.scan(flagged=1, linked=0, accounts=6))

    def read(after: dict[str, pa.Table] | None) -> None:
        with opened(folder) as result:
            result.table(schema.MEMBERS, campaign_id="C1")
            if after:
                written(folder, after)
            else:
                (folder / "evidence.parquet").unlink()
                (folder / "evidence.parquet").write_bytes(b"torn")
            result.table(schema.EVIDENCE, campaign_id="C1")

    with pytest.raises(StaleError):
        read(made.scan(flagged=1, linked=0, accounts=7))
    with pytest.raises(StaleError):
        read(None)


@pytest.mark.parametrize("name", ["scan.json", "campaigns.parquet", "members.parquet", "attribution.parquet"])
def test_a_damaged_result_is_a_message(tmp_path: Path, name: str) -> None:
    folder = written(tmp_path / "result", made.scan(flagged=1, linked=0, accounts=4))
    (folder / name).write_bytes(b"PAR1 torn")
    browser = showing(tmp_path, folder).as_["viewer"]
    path = "/campaigns/C1/exchanges" if name.startswith("attribution") else "/campaigns/C1"
    assert browser.get(path).status_code == 400
    if name.startswith("attribution"):
        return
    assert "not what was written" in browser.get("/pools/C1").text


def test_without_a_result_the_pages_say_what_is_missing(tmp_path: Path) -> None:
    browser = showing(tmp_path, None).as_["viewer"]
    for path in ("/campaigns/C1", "/accounts/a", "/pools", "/compare"):
        page = browser.get(path)
        assert page.status_code == 404 and "result folder" in page.text


def with_text(folder: Path) -> Path:
    """A result that kept the text of one exchange."""
    tables = made.scan(flagged=1, linked=0, accounts=4)
    rows = [{"exchange_id": f"x{i}", "campaign_id": "C1", "posterior": 0.9, "account_id": "a"} for i in range(2)]
    tables["attribution"] = made.table(schema.ATTRIBUTION, rows)
    text = {"exchange_id": "x1", "system_text": None, "messages": f"hello{EVIL}", "response_text": "one\ntwo"}
    tables["texts"] = pa.Table.from_pylist([text], schema=arrow_schema(KEPT))
    return written(folder, tables)


def test_kept_text_is_read_by_those_who_may_and_that_is_logged(tmp_path: Path) -> None:
    console = showing(tmp_path, with_text(tmp_path / "result"), ("viewer", "analyst"))
    before, analyst, viewer = sound(console.store), console.as_["analyst"], console.as_["viewer"]
    assert "hello" not in analyst.get("/campaigns/C1/exchanges").text
    assert "/campaigns/C1/text" not in viewer.get("/campaigns/C1/exchanges").text
    assert viewer.post("/campaigns/C1/text", exchange="x1").status_code == 403
    assert analyst.post("/campaigns/C1/text", "guessed", exchange="x1").status_code == 403
    for exchange in ("x0", "x9", "../x1"):
        assert analyst.post("/campaigns/C1/text", exchange=exchange).status_code == 404
    assert sound(console.store) == before, "what was not shown is not logged as read"
    page = analyst.post("/campaigns/C1/text", exchange="x1")
    assert page.status_code == 200 and "hello" in page.text and "one\ntwo" in page.text
    assert not re.search(r"<script>|<img src=x|49'|\u202e", page.text)
    assert sound(console.store) == before + 1
    assert "read kept text" in analyst.get("/log").text and "x1" not in text_of(analyst.get("/log").text)


def test_without_kept_text_there_is_none_to_read(tmp_path: Path) -> None:
    folder = written(tmp_path / "result", made.scan(flagged=1, linked=0, accounts=4))
    console = showing(tmp_path, folder, ("analyst",))
    assert "not in this result" in console.as_["analyst"].get("/campaigns/C1/exchanges").text
    assert console.as_["analyst"].post("/campaigns/C1/text", exchange="ex-000017").status_code == 404


def test_nobody_sees_evidence_without_signing_in(tmp_path: Path) -> None:
    folder = written(tmp_path / "result", made.scan(flagged=2, linked=0, accounts=4))
    stranger = Browser(showing(tmp_path, folder).app)
    for path in (*pages_for("C1", "C2", "C1-acct-00001"), "/accounts?account=a"):
        answer = stranger.get(path)
        assert answer.status_code == 303 and answer.headers["location"].startswith("/sign-in"), path


def test_a_search_leads_to_the_account_and_nowhere_else(viewer: Browser) -> None:
    for asked in ("a", "https://evil.example/", "//evil.example", "../x"):
        place = viewer.get("/accounts", params={"account": asked}).headers["location"]
        assert place == f"/accounts/{quote(asked, safe='')}"
    assert viewer.get("/accounts?account=").headers["location"] == "/"


def test_two_groups_of_one_list_of_attributes_are_said_to_be_one(tmp_path: Path) -> None:
    tables = made.scan(flagged=2, linked=0, accounts=12)
    with opened(written(tmp_path / "one", tables)) as result:
        same = comparison(result, "C1", "C2")
    assert len(same.both) == 9 and same.verdict.startswith("One operator would explain both")
    rows = tables["attributes"].to_pylist()
    alone = [row | {"weight": 13.3} for row in rows if row["signal"] == rows[0]["signal"]]
    tables["attributes"] = made.table(schema.ATTRIBUTES, alone)
    with opened(written(tmp_path / "alone", tables)) as result:
        hint = comparison(result, "C1", "C2")
    assert hint.both and hint.verdict.startswith("A hint:") and "one signal alone" in hint.verdict
    tables = made.scan(flagged=2, linked=0, accounts=12)
    apart = tables["attributes"].to_pylist()
    for row in apart:
        row["attribute"] = f"{row['campaign_id']}{row['attribute']}"
    tables["attributes"] = made.table(schema.ATTRIBUTES, apart)
    with opened(written(tmp_path / "two", tables)) as result:
        other = comparison(result, "C1", "C2")
    assert other.both == [] and other.verdict.startswith("Nothing here calls for one operator")
    with pytest.raises(InputError), opened(tmp_path / "two") as result:
        comparison(result, "C1", "C9")


def test_a_comparison_is_the_same_from_either_side(found: ScanResult) -> None:
    one, other = names(found)[:2]
    with opened(found.directory) as result:
        there, back = comparison(result, one, other), comparison(result, other, one)
    assert (there.verdict, there.bits, there.overlap, there.days) == (back.verdict, back.bits, back.overlap, back.days)


def test_a_pool_counts_its_accounts_bans_and_what_came_after(tmp_path: Path) -> None:
    tables = made.scan(flagged=1, linked=0, accounts=120)
    rows = tables["members"].to_pylist()
    with opened(written(tmp_path / "result", tables)) as result:
        seen = pool(result, "C1")
    banned = [r for r in rows if r["banned_ts"]]
    assert seen.banned == len(banned) == 30
    assert sum(k.accounts for k in seen.cohorts) == 120 and sum(k.banned for k in seen.cohorts) == 30
    for ban in seen.bans:
        two_days = [r for r in rows if 0 < (r["first_ts"] - ban.at).total_seconds() <= 48 * 3600]
        assert ban.after == len(two_days)
    (pivot,) = seen.pivots
    assert (pivot.day - made.START.date()).days == 20 and pivot.share == 1.0


def test_an_account_in_two_groups_is_named_among_the_pools(tmp_path: Path) -> None:
    tables = made.scan(flagged=2, linked=0, accounts=4)
    ids = ["both", *tables["members"]["account_id"].to_pylist()[1:4], "both"]
    ids += tables["members"]["account_id"].to_pylist()[5:]
    tables["members"] = tables["members"].set_column(1, "account_id", pa.array(ids))
    with opened(written(tmp_path / "result", tables)) as result:
        (moved,) = pools(result, 1).moved
    assert moved.account == "both" and moved.groups == ["C1", "C2"]


def words_asked_for() -> Iterator[str]:
    for template in sorted((HERE / "templates").glob("*.j2")):
        yield from re.findall(r'what\("(\w+)"\)', template.read_text(encoding="utf-8"))
        yield from re.findall(r'head\(listed, group, "\w+", "[^"]*", "(\w+)"', template.read_text(encoding="utf-8"))


def test_every_question_mark_has_a_meaning_and_every_meaning_a_question_mark() -> None:
    assert set(words_asked_for()) == set(DEFINED)
