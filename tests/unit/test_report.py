"""The report: what it says, what it must never say, and what it withstands."""

import importlib.util
import itertools
import json
import re
import sys
import time
import unicodedata
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from clonewatch.campaigns import fusion
from clonewatch.model import schema
from clonewatch.model.questions import BY_ID
from clonewatch.report import chapters, charts, incidence_diagram, method, numerals, phrases, standing
from clonewatch.report.cards import Cards
from clonewatch.report.chapters import FLAGGED_IN_FULL, LINKED_IN_FULL, MEMBERS_SHOWN
from clonewatch.report.render import headline, render
from clonewatch.report.tables import by_campaign

_SPEC = importlib.util.spec_from_file_location("report_tables", Path(__file__).with_name("report_tables.py"))
assert _SPEC is not None and _SPEC.loader is not None
made = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(made)


@pytest.fixture(scope="module")
def page() -> str:
    return render(made.scan(), made.summary(), made.SIGNALS)


class Outline(HTMLParser):
    """Tags left open, every tag and attribute seen, and the text of the page."""

    VOID = frozenset({"meta", "br", "link", "img", "input", "hr", "path", "circle", "rect", "line"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open and self.open.pop() == tag, f"</{tag}> closes another element"

    def handle_data(self, data: str) -> None:
        self.text += data


def text_of(page: str) -> str:
    return " ".join(Outline(page).text.split())


def test_the_same_tables_give_the_same_bytes(page: str) -> None:
    assert render(made.scan(), made.summary(), made.SIGNALS) == page


def test_the_page_is_whole_and_loads_nothing(page: str) -> None:
    outline = Outline(page)
    assert outline.open == []
    assert not {"script", "link", "iframe", "object", "img", "form", "base"} & {tag for tag, _ in outline.tags}
    for _, attributes in outline.tags:
        assert not {"src", "onload", "onclick", "xlink:href"} & attributes.keys()
        assert (attributes.get("href") or "#").startswith("#")
    assert "url(" not in page and "@import" not in page
    assert "default-src 'none'; style-src 'unsafe-inline'; img-src data:" in page


def test_the_answer_comes_first_and_counts_nobody_twice(page: str) -> None:
    # 180 members a campaign, of whom every tenth is a bystander.
    assert "2 campaigns flagged: 324 accounts with no declared common owner act as 2 operators; 96,500" in text_of(page)
    assert "between 22 April 2026 and 5 June 2026" in text_of(page)
    assert "36 bystanders on the same route not counted" in text_of(page)


def test_an_account_in_two_campaigns_counts_once() -> None:
    tables = made.scan(flagged=2, linked=0, accounts=20)
    names = pa.array([name.replace("C2-", "C1-") for name in tables["members"]["account_id"].to_pylist()])
    tables["members"] = tables["members"].set_column(1, "account_id", names)
    assert "18 accounts with no declared common owner act as 2 operators" in headline(tables).sentence


def test_nothing_flagged_says_what_that_does_not_mean() -> None:
    said = text_of(render(made.scan(flagged=0, linked=1), made.summary(), made.SIGNALS))
    assert "Nothing was flagged." in said
    assert "1 group of accounts is linked" in said
    assert "no proof of absence" in said


def reviewed(**other: Any) -> dict[str, pa.Table]:
    """A scan that flagged nothing: one group for review and one that is listed."""
    tables: dict[str, pa.Table] = made.scan(flagged=0, linked=2, accounts=12)
    ids = tables["campaigns"]["campaign_id"].to_pylist()
    first = {"outcome": "review", "rank": 1, "odds_bits": 1.0, "limiting_criterion": "third_family"}
    first |= {"limiting_ratio": 0.5, "question": "one_customer", "answered": []} | other
    rows = [
        made.campaign(ids[0], flagged=False, accounts=12, outcome="listed", rank=2, odds_bits=-9.0),
        made.campaign(ids[1], flagged=False, accounts=12, **first),
    ]
    return tables | {"campaigns": made.table(schema.CAMPAIGNS, rows)}


def test_a_group_for_review_is_in_the_headline_and_has_a_chapter_with_its_question() -> None:
    tables = reviewed()
    name = tables["campaigns"]["campaign_id"].to_pylist()[1]
    page = render(tables, made.summary(), made.SIGNALS)
    said = text_of(page)
    assert f"Nothing was flagged. 1 group is for review: {name} (12 accounts)." in said
    assert "1 more group of accounts is linked" in said and "no proof of absence" in said
    chapter = text_of(page.partition('<section id="review">')[2].partition("</section>")[0])
    assert BY_ID["one_customer"].asks in chapter and BY_ID["one_customer"].yes in chapter
    assert "the question above is open" in chapter and Outline(page).open == []
    assert "reaches 2.25 of 4.5 bits. It takes 2.25 bits more" in chapter
    assert f"{name}-" in chapter, "its members are listed"
    assert chapters.ranked(tables)[0]["campaign_id"] == name, "by rank, not by the order of rows"


def test_where_something_is_flagged_the_headline_names_groups_for_review_as_well() -> None:
    rows = [made.campaign("C1"), made.campaign("C2", flagged=False, outcome="review", rank=2)]
    said = headline({"campaigns": made.table(schema.CAMPAIGNS, rows)}).sentence
    assert said.startswith("1 campaign flagged: ") and said.endswith("1 group is for review: C2 (180 accounts).")


def test_a_long_list_for_review_is_named_in_part() -> None:
    rows = [made.campaign(f"C{i}", flagged=False, outcome="review", rank=i) for i in range(1, 10)]
    said = headline({"campaigns": made.table(schema.CAMPAIGNS, rows)}).sentence
    assert "9 groups are for review" in said and "C3 (180 accounts) and 6 more." in said and "C4" not in said


def test_the_page_names_the_answer_that_was_used_and_hides_what_it_could_carry() -> None:
    given = {"question": "app_users", "yes": False, "bits": 1.0, "at": "2026-05-01T09:00:00Z", "by": "ana"}
    page = render(reviewed(answered=[given | {"note": made.HOSTILE}]), made.summary(), made.SIGNALS)
    assert "Answered no by ana on 1 May 2026, which moves its odds by +1 bit:" in text_of(page)
    assert "<script>" not in page and "\u202e" not in page


def test_a_group_about_which_everything_was_asked_says_what_is_left_to_do() -> None:
    assert "No innocent explanation is left to ask about" in text_of(render(reviewed(question=None), made.summary()))


@pytest.mark.parametrize(
    ("criterion", "ratio", "said"),
    [
        ("deception", 0.0, "does not show at all"),
        ("deception", 0.4, "reaches 0.4 of its threshold"),
        ("linkage", 0.5, "of the wrong kind"),
        ("sum_of_families", -0.5, "reaches -6 of 12 bits. It takes 18 bits more"),
    ],
)
def test_what_is_missing_is_said_with_its_value_and_threshold(criterion: str, ratio: float, said: str) -> None:
    row = {"flagged": False, "limiting_criterion": criterion, "limiting_ratio": ratio}
    assert said in standing.missing(row)
    assert standing.missing(row | {"flagged": True}) == ""


def test_every_innocent_explanation_is_told_with_its_ruling(page: str) -> None:
    said = text_of(page)
    for row in made.evidence("C1"):
        if row["bits"] and row["bits"] > 0:
            assert row["innocent"] in said
    assert "No two of the accounts share a declared organisation." in said
    assert "Not tested: this explanation stays open." in said
    assert 'Whether the innocent explanation of "Work divided without repeats" holds: it was not tested.' in said


def test_a_general_tell_tale_is_not_passed_off_as_a_ruling() -> None:
    tables = made.scan(flagged=1, linked=0, accounts=5)
    rows = tables["evidence"].to_pylist()
    rows[0]["ruled_out"] = made.SIGNALS[0].card.excluded_by
    tables["evidence"] = made.table(schema.EVIDENCE, rows)
    page = render(tables, made.summary(), made.SIGNALS)
    place = page.index("What would show it")
    assert made.SIGNALS[0].card.excluded_by.split(",")[0] in page[place : place + 200]
    assert text_of(page).count("Not tested: this explanation stays open.") == 2


def test_what_would_show_an_innocent_twin_is_a_sentence_of_its_own_beside_every_ruling(page: str) -> None:
    assert re.search(
        r"What would show it ?Trusted accounts use it too, or the accounts have one declared owner\. "
        r"Why it does or does not fit ?No two of the accounts share a declared organisation\.",
        text_of(page),
    )


def test_the_level_says_how_many_innocent_explanations_are_ruled_out(page: str) -> None:
    said = text_of(page)
    assert "This log rules out 1 of 2 innocent explanations; 1 stays open." in said
    assert "tested do not account for it" not in said


def test_the_sum_keeps_links_tests_and_what_speaks_against_apart() -> None:
    pieces = [
        {"signal": "payment", "family": "identity", "kind": "link", "bits": 9.0},
        {"signal": "device", "family": "identity", "kind": "link", "bits": 4.0},
        {"signal": "load_balance", "family": "load", "kind": "behaviour", "bits": 8.0},
        {"signal": "regularity", "family": "pacing", "kind": "behaviour", "bits": 7.0},
        {"signal": "individuality", "family": "individuality", "kind": "support", "bits": 6.0},
        {"signal": "coverage_uniformity", "family": "coverage", "kind": "against", "bits": -5.0},
    ]
    tables = made.scan(flagged=1, linked=0, accounts=5)
    tables["campaigns"] = made.table(schema.CAMPAIGNS, [made.campaign(accounts=5, score=10.0)])
    tables["evidence"] = made.table(schema.EVIDENCE, [{"campaign_id": "C1", **piece} for piece in pieces])
    chapter = chapters.chapters(tables, chapters.ranked(tables), Cards())[0]
    lines = {part.name: (part.families, part.bits) for part in chapter.sum}
    assert lines["Links"] == ("identity 9", "9") and lines["Tests"] == ("load 8, pacing 7", "15")
    assert lines["Support"] == ("individuality 6", "-") and lines["Against"] == ("coverage", "-5")
    assert lines["Score"][1] == "10" and chapter.families == ["load", "pacing"]
    assert "subtracted from the score" in {part.counts for part in chapter.sum}


def test_of_a_group_that_is_not_flagged_nobody_is_said_to_act_for_a_campaign() -> None:
    page = with_campaign(flagged=False, level="L1", harvested_exchanges=0)
    chapter = text_of(page.partition('<section id="linked">')[2].partition("</section>")[0])
    assert "5 accounts with no declared common owner: linked, not flagged" in chapter
    assert (
        "act together" not in chapter and "through and through" not in chapter and not re.search(r"\bcore\b", chapter)
    )
    assert "Membership" not in chapter and "nobody is said to act for anybody" in chapter
    assert "Membership" in text_of(with_campaign())


def test_the_page_says_what_to_check_first(page: str) -> None:
    first = text_of(page).partition("What to check first")[2][:1500]
    assert "What speaks against it: Night rest." in first
    assert "Work divided without repeats (could still be this): One team that splits a test set." in first
    assert "18 fringe accounts, one by one" in first and "18 proxy customers: likely bystanders" in first


def test_every_kind_of_attribute_shows_however_many_another_kind_has() -> None:
    rows = [{"signal": "template", "attribute": f"t{i}", "weight": 30.0 - i} for i in range(25)]
    shown = chapters.of_each_kind([*rows, {"signal": "payment", "attribute": "card", "weight": 2.0}])
    assert [row["signal"] for row in shown] == ["template"] * 4 + ["payment"]


def test_example_exchanges_that_several_pieces_of_evidence_have_are_shown_once() -> None:
    tables = made.scan(flagged=1, linked=0, accounts=5)
    rows = [row | {"exchange_ids": ["ex-000099", "ex-000100"]} for row in tables["evidence"].to_pylist()]
    tables["evidence"] = made.table(schema.EVIDENCE, rows)
    said = text_of(render(tables, made.summary(), made.SIGNALS))
    assert said.count("ex-000099") == 1 and "examples for most of what follows" in said


def test_a_drawing_says_how_many_dots_stand_for_more_accounts(page: str) -> None:
    assert re.search(r"\d+ accounts \(14 drawn\)", text_of(page))


def test_figures_without_a_unit_do_not_follow_the_sentence_that_has_them(page: str) -> None:
    assert not re.search(r"measured -?\d", text_of(page))


def test_thresholds_are_rounded_and_settings_name_the_file_that_was_found() -> None:
    summary = made.summary()
    summary["thresholds"]["link_bits"] = 9.965784285
    summary["settings"] |= {"accounts": None, "events": None}
    summary["inputs"].append(summary["inputs"][0] | {"path": "logs/accounts.parquet", "format": "accounts (parquet)"})
    held = method.gather(summary, Cards())
    assert dict(held.thresholds)["link_bits"] == "9.97"
    assert dict(held.settings)["accounts"] == "not set; found beside the exchanges: logs/accounts.parquet"
    assert dict(held.settings)["events"] == "not set"


def test_one_word_for_the_suspect_and_one_for_whoever_runs_the_service(page: str) -> None:
    said = text_of(page)
    assert not re.search(r"(declared|trusted|given) by the operator|operator's own", said)


def test_evidence_against_stands_before_evidence_for(page: str) -> None:
    against, for_it = page.index('<h4 class="side against">'), page.index('<h4 class="side">')
    assert against < page.index("Traffic falls by half at night") < for_it < page.index("180 accounts pay with 4")


def test_an_estimate_of_when_it_could_be_seen_is_not_called_an_alarm(page: str) -> None:
    said = text_of(page)
    assert "There was enough to test from 28 April 2026, 14:00 UTC, an estimate by counts" in said
    assert "4,100 of 48,250 attributed exchanges (8.5 %) had been answered by then." in said
    assert "That is no alarm" in said and "would first have flagged it" not in said


def test_a_moment_that_was_scanned_for_is_given_as_the_hour_of_the_first_flag() -> None:
    said = text_of(with_campaign(visible_is_first_flag=True))
    assert "A scan would first have flagged it on 28 April 2026, 14:00 UTC; 4,100 of 48,250" in said
    assert "enough to test" not in said


def test_a_group_that_is_not_flagged_is_not_said_to_have_leaked_anything() -> None:
    said = text_of(with_campaign(flagged=False, harvested_exchanges=0, visible_exchanges=0))
    assert "nothing is attributed to a group that is not flagged" in said
    assert "had been answered by then" not in said


def test_no_p_value_is_printed_without_the_number_of_groups_behind_it(page: str) -> None:
    said = text_of(page)
    assert (
        said.count("p = 0.0045") == 2 and said.count("n = 220: how often linked groups of simulated honest logs") == 3
    )
    assert "it cannot fall below 0.0045; e-value 221" in said
    assert "p =" not in standing.honest({"p_value": 0.01, "p_n": 0})
    assert "p =" not in text_of(with_campaign(p_value=None, p_n=0, e_value=None))


def test_the_page_says_whether_the_calibration_groups_were_simulated_or_the_providers_own(page: str) -> None:
    said = text_of(page)
    assert "among 1,234 groups (simulated worlds without an attack), of which 3 lie beyond the threshold" in said
    assert "It has not been shown that honest groups of this log resemble them" in said
    assert "at most 5 % of the flags of a scan are false on average" in said
    assert "Whether honest groups of this log come as close to the threshold as the simulated ones behind p." in said
    own = made.summary()
    own["settings"]["calibration"] = "quiet.json"
    said = text_of(render(made.scan(1, 0, 5), own, made.SIGNALS))
    assert "They come from the provider's own quiet period" in said
    assert "simulated honest logs" not in said and "simulated ones behind p" not in said


def test_how_a_flag_comes_about_is_told_in_words_with_the_thresholds_that_hold(page: str) -> None:
    said = text_of(page)
    assert round(2**fusion.LINK_BITS) == 1000 and fusion.FLAG_BITS == 12
    assert "once in a thousand cases" in said
    assert f"about one in {2**fusion.FAMILY_BITS:.0f} honest communities" in said
    assert "as surprising as twelve heads in a row" in said
    for families, word in ((2, "Two"), (3, "Three"), (None, "Several")):
        known = made.summary()
        known["thresholds"]["families"] = families
        assert f"{word} kinds of measurement" in text_of(render(made.scan(1, 0, 5), known, made.SIGNALS))


@pytest.mark.parametrize(
    ("flagged", "threshold_ratio", "told"),
    [
        (True, 1.31, "Its limiting criterion reaches 1.31 times its threshold. The flag also survives"),
        (
            False,
            1.31,
            "It is still not flagged: calibration groups get this far too often",
        ),
        (False, 0.4, "Its limiting criterion reaches 0.4 of its threshold: not flagged."),
        (False, -0.4, "One of its criteria is not met at all: not flagged."),
    ],
)
def test_each_verdict_says_how_close_its_limiting_criterion_is(
    flagged: bool, threshold_ratio: float, told: str
) -> None:
    assert told in text_of(with_campaign(flagged=flagged, threshold_ratio=threshold_ratio))


def test_stability_is_told_with_the_number_of_clusterings(page: str) -> None:
    said = text_of(page)
    place = said.index("mean overlap (Jaccard, 0 to 1)")
    assert "0.97" in said[place - 30 : place]
    assert "10 clusterings in all" in said[place : place + 120]


def test_merged_sub_clusters_are_shown_with_their_weakest_merge_and_their_list_is_drawn() -> None:
    tables = made.scan(flagged=1, linked=0, accounts=12)
    tables["campaigns"] = made.table(
        schema.CAMPAIGNS, [made.campaign(accounts=12, sub_clusters=3, merge_p_value=0.004)]
    )
    attribute = {"campaign_id": "C1", "signal": "work_list", "attribute": "work_list-7"}
    row = attribute | {"entities": 12, "users": 12, "trusted": 0, "weight": 9.0, "exchanges": 0}
    carriers = [attribute | {"account_id": f"C1-acct-{i:05d}"} for i in range(12)]
    tables["attributes"] = pa.concat_tables([tables["attributes"], made.table(schema.ATTRIBUTES, [row])])
    tables["attribute_accounts"] = pa.concat_tables(
        [tables["attribute_accounts"], made.table(schema.ATTRIBUTE_ACCOUNTS, carriers)]
    )
    reason = made.evidence("C1")[0] | {
        "signal": "work_list",
        "family": "content",
        "reason": "One list links 12 entities.",
    }
    tables["evidence"] = made.table(schema.EVIDENCE, [*made.evidence("C1"), reason])
    page = render(tables, made.summary(), made.SIGNALS)
    said = text_of(page)
    assert "Merged from 3 clusters without a shared attribute" in said and "Weakest merge: p = 0.004" in said
    assert "work list no. 7" in page.partition('class="incidences"')[2].partition("</svg>")[0]
    assert "Work list" in said and "One list links 12 entities." in said
    assert "Merged from" not in text_of(with_campaign(sub_clusters=1))


def test_a_trusted_set_that_was_inferred_is_said_to_be() -> None:
    summary = made.summary() | {"trust": {"source": "behaviour", "share": 0.3}}
    said = text_of(render(made.scan(1, 0, 5), summary, made.SIGNALS))
    assert "accounts that work in bursts, as people do, were used instead" in said
    assert "the scan had none to compare with" not in said


def with_campaign(**changes: object) -> str:
    """The page of a scan with one campaign changed so."""
    tables = made.scan(flagged=1, linked=0, accounts=5)
    tables["campaigns"] = made.table(schema.CAMPAIGNS, [made.campaign(accounts=5, **changes)])
    return render(tables, made.summary(), made.SIGNALS)


def test_what_is_not_known_names_the_signals_without_data(page: str) -> None:
    said = text_of(page)
    assert "What 1 signal without data would have shown: Reasoning signatures replayed." in said
    assert "exchanges.signature_id" in said
    assert "Who the operator of the campaign is." in said


@pytest.mark.parametrize("code", ["L0", "L1", "L2", "L3"])
def test_each_level_comes_with_its_meaning_and_what_would_lower_it(code: str) -> None:
    tables = made.scan(flagged=0, linked=0)
    tables["campaigns"] = made.table(schema.CAMPAIGNS, [made.campaign(level=code)])
    said = text_of(render(tables, {}))
    rung = phrases.level(code)
    assert f"{rung.code}, {rung.name}. {rung.says}" in said
    assert rung.lowered_by in said


def test_no_word_of_guilt_is_ever_printed(page: str) -> None:
    said = text_of(page).lower()
    for word in ("distill", "distil", "theft", "steal", "stolen", "criminal", "guilty", "attacker"):
        assert word not in said


@pytest.mark.parametrize(
    "name",
    [
        "<script>alert(1)</script>",
        '"><img src=x onerror=alert(1)>',
        "a\u202eb\u2066c\x00\x1b[31m",
        "{{ 7*7 }}",
        "x" * 10_000,
        "",
    ],
)
def test_names_from_the_log_cannot_touch_the_page(name: str) -> None:
    tables = made.scan(flagged=1, linked=0, accounts=3)
    swap = {"C1-acct-00000": name}
    for key in ("members", "attribute_accounts"):
        place = tables[key].column_names.index("account_id")
        held = [swap.get(a, a) for a in tables[key]["account_id"].to_pylist()]
        tables[key] = tables[key].set_column(place, "account_id", pa.array(held, pa.string()))
    campaign, evidence, attributes = (tables[k].to_pylist() for k in ("campaigns", "evidence", "attributes"))
    for row in evidence:
        row |= {
            "signal": name,
            "family": name,
            "reason": name,
            "innocent": name,
            "ruled_out": name,
            "exchange_ids": [name],
        }
    campaign[0] |= {"tasks": [(name, 4)], "level": name}
    attributes[0] |= {"signal": name, "attribute": name}
    tables |= {
        "campaigns": made.table(schema.CAMPAIGNS, campaign),
        "evidence": made.table(schema.EVIDENCE, evidence),
        "attributes": made.table(schema.ATTRIBUTES, attributes),
    }
    summary = made.summary() | {"warnings": [name], "settings": {name: name}, "versions": {"python": name}}
    summary["signals"][0] |= {"name": name, "family": name, "missing": [name]}
    summary["inputs"][0]["path"] = name
    page = render(tables, summary)
    outline = Outline(page)
    assert outline.open == []
    assert not {"script", "img"} & {tag for tag, _ in outline.tags}
    assert not any("onerror" in attributes for _, attributes in outline.tags)
    assert not {"\u202e", "\u2066", "\x00", "\x1b"} & set(page)
    assert "49" not in outline.text.partition("Members")[2][:200] or "{{ 7*7 }}" in outline.text
    assert "x" * 1000 not in page


def test_an_empty_scan_and_an_empty_summary_give_a_page() -> None:
    said = text_of(render({}, {}))
    assert "Nothing was flagged." in said
    assert 'Read the result as "not examined"' in said
    assert "not known" in said


@pytest.mark.parametrize(
    "absent", ["members", "evidence", "attributes", "attribute_accounts", "timeline", "attribution"]
)
def test_a_missing_table_leaves_a_page_that_says_so(absent: str) -> None:
    tables = made.scan(flagged=1, linked=0, accounts=12)
    del tables[absent]
    assert "1 campaign flagged" in text_of(render(tables, made.summary(), made.SIGNALS))


def test_evidence_of_an_old_scan_is_read_from_its_campaign() -> None:
    tables = made.scan(flagged=1, linked=0, accounts=4)
    del tables["evidence"]
    assert "Few cards pay for many." in text_of(render(tables, {}))


@pytest.mark.parametrize("name", [t.name for t in schema.RESULTS])
def test_a_table_of_nulls_gives_a_page(name: str) -> None:
    tables = made.scan(flagged=1, linked=1, accounts=5)
    kept = {"campaign_id", "account_id", "flagged"}
    held = tables[name]
    arrays = {c: held[c] if c in kept else pa.nulls(held.num_rows, held[c].type) for c in held.column_names}
    tables[name] = pa.table(arrays)
    assert Outline(render(tables, made.summary(), made.SIGNALS)).open == []


def test_two_hundred_campaigns_and_twenty_five_thousand_members_stay_readable() -> None:
    tables = made.scan(flagged=1, linked=0, accounts=25_000)
    extra = [made.campaign(f"D{i}", flagged=i < 90, accounts=4) for i in range(199)]
    tables["campaigns"] = pa.concat_tables([tables["campaigns"], made.table(schema.CAMPAIGNS, extra)])
    begun = time.perf_counter()
    page = render(tables, made.summary(), made.SIGNALS)
    assert time.perf_counter() - begun < 20
    assert len(page) < 5_000_000
    said = text_of(page)
    assert f"{25_000 - MEMBERS_SHOWN:,} more members" in said
    assert f"{200 - FLAGGED_IN_FULL - LINKED_IN_FULL} further groups" in said


def test_the_drawing_holds_every_account_once_and_no_kind_takes_all_room() -> None:
    attributes, carriers = made.ties("C1", 400)
    drawing = incidence_diagram.draw(attributes, carriers)
    assert drawing is not None
    assert drawing.drawn + drawing.omitted == 400
    kinds = [knot.attribute["signal"] for knot in drawing.nodes]
    assert max(kinds.count(kind) for kind in kinds) <= incidence_diagram.ATTRIBUTES_PER_KIND
    assert all(0 < row.y < drawing.height for row in drawing.rows)
    heights = sorted(row.y for row in drawing.rows)
    assert all(b - a >= incidence_diagram.ROW - 0.2 for a, b in itertools.pairwise(heights))


def test_the_drawing_does_not_depend_on_the_order_of_rows() -> None:
    attributes, carriers = made.ties("C1", 50)
    assert incidence_diagram.draw(attributes, carriers) == incidence_diagram.draw(attributes, carriers[::-1])


def test_a_group_without_ties_is_not_drawn() -> None:
    assert incidence_diagram.draw([], []) is None


def test_the_chart_is_still_and_coloured_by_the_page() -> None:
    drawn = charts.timeline(made.timeline("C1"), made.START)
    assert drawn is not None
    assert drawn.svg.startswith("<svg") and "<script" not in drawn.svg and "<a " not in drawn.svg
    assert "var(--c1)" in drawn.svg and drawn.series[0] == ("software engineering", "var(--c1)")
    assert charts.timeline([], None) is None


def test_the_page_sets_the_legend_itself_so_that_no_name_is_cut() -> None:
    tables = made.scan(flagged=1, linked=0, accounts=5)
    rows = [row | {"task": "sensitive_rewrite"} for row in made.timeline("C1", 3)]
    tables["timeline"] = made.table(schema.TIMELINE, rows)
    page = render(tables, made.summary(), made.SIGNALS)
    legend = page.partition('<ul class="legend"')[2].partition("</ul>")[0]
    assert "rewriting of sensitive questions</li>" in legend and "var(--c1)" in legend
    assert "rewriting" not in page.partition("<figure>")[2].partition("<svg")[2].partition("</svg>")[0]


def test_the_bars_of_the_chart_add_up_to_the_rows() -> None:
    rows = made.timeline("C1", 200)
    kept = [(row["day"], row) for row in rows]
    for step in (1, 7):
        _, values, _ = charts._stacked(kept, made.START, step)
        assert sum(v["high"] - v["low"] for v in values) == sum(row["exchanges"] for row in rows)
        attributed = [v for v in values if v["series"] != charts.UNATTRIBUTED]
        assert sum(v["high"] - v["low"] for v in attributed) == sum(row["harvested"] for row in rows)


def test_a_task_label_the_chart_does_not_know_never_reaches_it() -> None:
    rows = [row | {"task": made.HOSTILE} for row in made.timeline("C1", 3)]
    drawn = charts.timeline(rows, None)
    assert drawn is not None and "alert" not in drawn.svg
    assert {name for name, _ in drawn.series} <= {"other tasks", charts.UNATTRIBUTED}


def test_rows_are_split_by_campaign_in_their_order() -> None:
    table = pa.table({"campaign_id": ["b", "a", None, "b", "z"], "n": [1, 2, 3, 4, 5]})
    parts = by_campaign(table, ["a", "b", "c"])
    assert {name: part["n"].to_pylist() for name, part in parts.items()} == {"a": [2], "b": [1, 4], "c": []}


@pytest.mark.parametrize(
    ("scheme", "start"), [("light", ":root{color-scheme"), ("dark", "prefers-color-scheme:dark){:root")]
)
def test_text_colours_have_enough_contrast(scheme: str, start: str, page: str) -> None:
    colours = dict(re.findall(r"--([a-z0-9]+):(#[0-9a-f]{6})", page[page.index(start) :].partition("}")[0]))
    ground = [luminance(colours["page"]), luminance(colours["panel"])]
    for name in ("ink", "muted", "accent", "for", "against"):
        for behind in ground:
            high, low = sorted((luminance(colours[name]), behind), reverse=True)
            # WCAG 2.2, 1.4.3: 4.5 to 1 for text.
            assert (high + 0.05) / (low + 0.05) >= 4.5, f"{name} in {scheme}"


def luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_pictures_and_tables_have_words(page: str) -> None:
    outline = Outline(page)
    tables = sum(tag == "table" for tag, _ in outline.tags)
    assert tables == sum(tag == "caption" for tag, _ in outline.tags)
    drawings = [a for tag, a in outline.tags if a.get("role") == "img"]
    assert drawings and all(a.get("aria-label") for a in drawings)
    ids = [a["id"] for _, a in outline.tags if "id" in a]
    assert len(ids) == len(set(ids))
    targets = {a["href"][1:] for _, a in outline.tags if a.get("href")}  # type: ignore[index]
    assert targets <= set(ids)


def test_every_table_scrolls_by_itself_on_a_narrow_screen(page: str) -> None:
    assert page.count("<table>") == page.count('<div class="wide"><table>') > 5
    assert "ol.ladder{list-style:none;display:flex;flex-wrap:wrap" in page


def test_the_report_needs_no_signal_package(page: str) -> None:
    held = method.gather(json.loads(json.dumps(made.summary())), Cards())
    assert [u.title for u in held.off] == ["Reasoning replay"]


def test_hidden_characters_of_every_plane_are_spelled_out() -> None:
    every = "".join(chr(point) for point in range(0, sys.maxunicode, 97) if not 0xD800 <= point < 0xE000)
    shown = numerals.visible(every, len(every))
    assert not {unicodedata.category(character) for character in shown} & {"Cc", "Cf", "Co", "Cn", "Zl", "Zp"}


def test_a_card_is_found_by_its_name_and_an_unknown_one_is_not() -> None:
    cards = Cards(made.SIGNALS)
    assert cards.find(made.SIGNALS[1].name) == made.SIGNALS[1]
    assert cards.find("gone") is None and cards.find(None) is None
