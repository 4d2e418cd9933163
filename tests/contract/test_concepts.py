"""The example of docs/concepts.md is a log that is really scanned, and the page states what the scan says."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from clonewatch import scan
from clonewatch.campaigns.fusion import FACT_BITS, FAMILY_BITS, FLAG_BITS, LINK_BITS
from clonewatch.graph.weights import EFFECT
from clonewatch.kernels.rarity import lower_tail
from clonewatch.model.schema import RESULTS

PAGE = Path(__file__).resolve().parents[2] / "docs" / "concepts.md"
TRUSTED_SHARE = 0.3
DAYS, START = 30, datetime(2026, 4, 24, tzinfo=UTC)
OPERATOR = [f"a{i}" for i in range(1, 9)]
TOPICS, QUESTIONS = 64, 8  # of the operator's list; honest people ask about five times as many topics
ALL_TOPICS, PRIVATE = 300, 1 << 50
TOOL, TOOL_USERS, HONEST = 555, 80, 290
SCHOOL = range(181, 191)
TRUSTED = {*range(24), *range(80, 145), 181}


def operated(rng: np.random.Generator) -> Iterator[dict[str, object]]:
    """A queue that deals every question of one list once, to eight accounts in turn, for two weeks."""
    questions = rng.permutation(TOPICS * QUESTIONS)
    step = timedelta(days=14) / len(questions)
    for place, question in enumerate(questions.tolist()):
        topic, number = divmod(question, QUESTIONS)
        yield {
            "account_id": OPERATOR[place % len(OPERATOR)],
            "ts": START + timedelta(days=10) + step * (place + 1.8 * rng.random()),
            "session_id": f"list-{place}",
            "turn": 0,
            "client_ip": "203.0.113.7",
            "system_hash": 777,
            "template_id": 888,
            "prompt_id": PRIVATE + 100 * topic + number,
            "cell": topic + 5,
            "task": "reasoning",
            "elicitation": 0.9,
        }


def personal(account: str, address: str, system: int | None, rng: np.random.Generator) -> Iterator[dict[str, object]]:
    """What a person does: some days, some conversations in bursts, popular topics and popular questions."""
    popular = 1 / np.arange(1, ALL_TOPICS + 1) ** 0.9
    days = rng.choice(DAYS, int(rng.integers(2, 8)), replace=False)
    left, hour = int(rng.lognormal(2.6, 1.0)) + 9, int(rng.integers(6, 22))
    while left > 0:
        ts = START + timedelta(days=int(rng.choice(days)), hours=float((hour + rng.normal(0, 2)) % 24))
        topic = int(rng.choice(ALL_TOPICS, p=popular / popular.sum()))
        turns = min(left, int(rng.geometric(0.45)))
        for turn in range(turns):
            ts += timedelta(seconds=float(rng.exponential(70)))
            yield {
                "account_id": account,
                "ts": ts,
                "session_id": f"{account}-{left}",
                "turn": turn,
                "client_ip": address,
                "system_hash": system,
                "template_id": None,
                "prompt_id": 5_000 * topic + int(min(rng.zipf(1.6), 4_000)),
                "cell": topic,
                "task": ("software_engineering", "chat", "reasoning")[int(rng.integers(3))],
                "elicitation": 0.9 if rng.random() < 0.02 else 0.0,
            }
        left -= turns


def write(folder: Path) -> None:
    """The log of the example: 301 accounts of 300 entities, 90 of them trusted."""
    rng, place = np.random.default_rng(1), count()
    rows = list(operated(rng))
    accounts = [{"account_id": a, "payment_fingerprint": "one card", "anchor": False} for a in OPERATOR]
    people = ["v", "acme-1", "acme-2", "dev", *(f"p{i}" for i in range(1, HONEST))]
    for number, account in enumerate(people, -3):
        school, tool = number in SCHOOL, 0 <= number < TOOL_USERS
        address = "203.0.113.9" if account == "v" else "198.51.100.5" if school else f"10.0.{number + 3}.1"
        rows += personal(account, address, TOOL if tool else None, rng)
        acme = account.startswith("acme")
        card = "card of acme" if acme else f"card of {account}"
        org = {"org_id": "acme", "org_declared": True} if acme else {}
        accounts.append({"account_id": account, "payment_fingerprint": card, "anchor": number in TRUSTED, **org})
    nobody = {"org_id": None, "org_declared": None}
    # Sign-ups lie apart, so that nothing but the four attributes of the page is shared.
    born = [START - timedelta(days=5 + 2 * i) for i in range(len(accounts))]
    facts = pa.Table.from_pylist([{**nobody, **a, "created_at": b} for a, b in zip(accounts, born, strict=True)])
    (folder / "exchanges").mkdir(parents=True)
    pq.write_table(facts, folder / "accounts.parquet")
    rows = [{"exchange_id": f"x{next(place)}", **row} for row in sorted(rows, key=lambda row: str(row["ts"]))]
    kinds = {"ts": pa.timestamp("us", "UTC"), "turn": pa.int16(), "cell": pa.int32(), "elicitation": pa.float32()}
    kinds |= dict.fromkeys(("system_hash", "template_id", "prompt_id"), pa.uint64())
    names = list(rows[0])
    schema = pa.schema([(name, kinds.get(name, pa.string())) for name in names])
    pq.write_table(pa.Table.from_pylist(rows, schema), folder / "exchanges" / "part-0.parquet")


class Scanned:
    """The example's log and what a scan of it says."""

    def __init__(self, folder: Path) -> None:
        write(folder)
        self.result = scan(str(folder))
        self.campaign = self.result.tables["campaigns"].to_pylist()[0]
        self.evidence = {row["signal"]: row for row in self.result.tables["evidence"].to_pylist()}


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Scanned:
    """One scan for all tests of this file."""
    return Scanned(tmp_path_factory.mktemp("concepts") / "log")


def page() -> str:
    """The page on one line per paragraph, so that a figure is found wherever its line breaks."""
    return re.sub(r"(?<!\n)\n(?!\n)", " ", PAGE.read_text(encoding="utf-8"))


def row(first: str) -> list[str]:
    """The cells of the table row that begins with `first`."""
    found = re.search(rf"^\| {re.escape(first)} \|(.*)\|$", PAGE.read_text(encoding="utf-8"), re.M)
    assert found, first
    return [cell.strip() for cell in found[1].split("|")]


def test_the_log_is_as_large_as_the_page_says(example: Scanned) -> None:
    counts = example.result.summary["counts"]
    assert (counts["accounts"], counts["entities"], counts["trusted"]) == (301, 300, 90)
    assert (
        "301 accounts are 300 entities" in page() and "90 entities are trusted: a **trusted share** of 30 %" in page()
    )


@pytest.mark.parametrize(
    ("attribute", "signal"),
    [
        ("one payment instrument", "payment"),
        ("one system prompt", "system_prompt"),
        ("one prompt template", "template"),
        ("the proxy's network", "egress"),
    ],
)
def test_a_shared_attribute_weighs_what_the_scan_says(example: Scanned, attribute: str, signal: str) -> None:
    shared = next(r for r in example.result.tables["attributes"].to_pylist() if r["signal"] == signal)
    _, users, trusted, _, weight = row(attribute)
    assert (int(users), int(trusted)) == (shared["users"], shared["trusted"])
    assert weight == f"{shared['weight']:.2f}"


def test_every_row_of_attributes_follows_from_the_formula_on_the_page() -> None:
    rows = re.findall(
        r"^\| [^|]+ \| `\w+` \(\w+\) \| (\d+) \| (\d+) \| ([\d.]+) \| ([\d.]+) \|$", PAGE.read_text("utf-8"), re.M
    )
    assert len(rows) == 6
    for users, trusted, surprise, weight in rows:
        u, t = int(users), int(trusted)
        bits = lower_tail(u, t, TRUSTED_SHARE).item()
        assert surprise == f"{bits:.2f}"
        assert weight == f"{bits * max(0.0, 1 - t / u / (EFFECT * TRUSTED_SHARE)):.2f}"


@pytest.mark.parametrize(
    ("test", "signal"),
    [
        ("work partition", "work_partition"),
        ("reasoning demanded", "elicitation"),
        ("no conversation", "single_turn"),
        ("pace without bursts", "regularity"),
        ("equal load", "load_balance"),
        ("individuality", "individuality"),
    ],
)
def test_a_behavioural_test_gives_the_bits_that_the_page_says(example: Scanned, test: str, signal: str) -> None:
    found = example.evidence[signal]
    family, measured, reference, bits = row(test)
    assert family == f"`{found['family']}`" and bits == f"{found['bits']:.1f}"
    stated = re.findall(r"\d+(?: %|(?= times)|\.\d)", measured)[0]
    assert stated in found["reason"].replace("%", " %")
    assert reference == "–" or reference in found["reason"].replace("%", " %")


def test_short_of_the_least_effect_a_test_counts_in_proportion(example: Scanned) -> None:
    found = example.evidence["coverage_uniformity"]
    share = ((found["value"] - found["reference"]) / 0.7 - 0.75) / 0.25
    assert 0 < share < 1 and f"{share:.2f} of the {found['bits'] / share:.1f} bits" in page()
    assert row("coverage uniformity")[-1] == f"{found['bits']:.1f}"


def test_the_criteria_are_those_of_the_scan(example: Scanned) -> None:
    best: dict[str, float] = {}
    for found in example.evidence.values():
        if found["kind"] == "behaviour":
            best[found["family"]] = max(best.get(found["family"], 0.0), found["bits"])
    links = {name: found["bits"] for name, found in example.evidence.items() if found["kind"] == "link"}
    values = {
        "linkage": (sum(links.values()), LINK_BITS),
        "third family": (sorted(best.values())[-3], FAMILY_BITS),
        "sum of families": (sum(best.values()), FLAG_BITS),
        "deception": (example.evidence["coverage_uniformity"]["bits"], FACT_BITS),
    }
    for criterion, (value, threshold) in values.items():
        _, asked, given, ratio = row(criterion)
        stated = sum(float(figure) for figure in re.findall(r"\d+\.\d", given))
        assert asked.startswith((f"{threshold:.1f} bits", f"{threshold:.2f} bits")) and stated == pytest.approx(
            value, abs=0.06
        ), criterion
        assert ratio == f"{value / threshold:.2f}", criterion
    assert example.campaign["threshold_ratio"] == pytest.approx(min(v / t for v, t in values.values()), abs=1e-6)
    assert example.campaign["score"] == pytest.approx(35.7, abs=0.05)


def test_calibration_and_attribution_end_as_the_page_says(example: Scanned) -> None:
    found, text = example.campaign, page()
    n = found["p_n"]
    assert f"{n} calibration groups of like trust and size, none beyond the threshold" in text
    assert f"p = 1/{n + 1} = {found['p_value']:.4f}" in text
    alike = example.result.summary["calibration"]["strata"]["declared"]
    assert f"{alike} of any size" in text and f"the e-value is ({alike} + 1) / 1 = {found['e_value']:.0f}" in text
    assert found["e_value"] == alike + 1
    assert found["flagged"] and found["level"] == "L3" and "`C0001`, L3, eight accounts" in text
    assert found["accounts"] == 8 and found["harvested_exchanges"] == found["exchanges"] == TOPICS * QUESTIONS == 512
    roles = {
        r["account_id"]: (r["role"], f"{r['membership']:.2f}") for r in example.result.tables["members"].to_pylist()
    }
    assert roles == {"v": ("proxy_customer", "0.00"), **dict.fromkeys(OPERATOR, ("core", "0.95"))}
    assert "`a1` to `a8` are core, with a membership of 0.95. `v` is a proxy customer" in text


def test_the_picture_shows_the_figures_of_the_page(example: Scanned) -> None:
    picture = (PAGE.parent / "pictures" / "concepts.svg").read_text(encoding="utf-8")
    for criterion in ("linkage", "third family", "sum of families", "deception"):
        assert f">{row(criterion)[-1]}<" in picture
    assert (
        f"p = 1/{example.campaign['p_n'] + 1}" in picture and f"e-value = {example.campaign['e_value']:.0f}" in picture
    )


def test_the_glossary_is_in_order_and_names_columns_that_exist() -> None:
    glossary = PAGE.read_text(encoding="utf-8").partition("## Glossary")[2]
    terms = re.findall(r"^\| ([^|]+) \|[^|]+\|[^|]*\| (?:`(\w+)\.(\w+)` )?\|$", glossary, re.M)
    names = [term for term, _, _ in terms]
    assert len(names) > 50 and names == sorted(names, key=str.lower)
    known = {(table.name, column) for table in RESULTS for column in table.names}
    assert {(table, column) for _, table, column in terms if table} <= known


def test_every_term_of_the_glossary_is_introduced_above_it() -> None:
    body, _, glossary = page().partition("## Glossary")
    terms = re.findall(r"^\| ([^|]+) \|", PAGE.read_text(encoding="utf-8").partition("## Glossary")[2], re.M)
    terms = [term.lower() for term in terms if term not in ("term", "---")]
    assert glossary and [term for term in terms if term not in body.lower()] == []
