"""Assumption cards: ranges, sources, faults by line, and the ageing figures against their data."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from clonewatch.lab.adversary.cards import Cards, cards, read

DATA = Path(__file__).resolve().parents[3] / "shared" / "data" / "ring_accounts_created.parquet"
SHIPPED = cards()
ONE = b"""schema = "clonewatch.cards.v1"
[cards.payment_usd]
value = 4
low = 1
high = 9
unit = "USD"
source = "our own invoices"
date = 2026-11-01
"""


@pytest.mark.parametrize("name", sorted(SHIPPED))
def test_a_card_says_where_its_value_comes_from_and_how_far_it_may_be_off(name: str) -> None:
    card = SHIPPED.held[name]
    assert card.low <= card.value <= card.high and card.low < card.high
    assert card.source and card.unit


def test_a_file_of_cards_replaces_known_ones_and_no_others() -> None:
    found = read(ONE, SHIPPED.held)
    assert isinstance(found, Cards)
    assert found["payment_usd"] == 4 and found["device_usd"] == SHIPPED["device_usd"]
    unknown = read(ONE.replace(b"payment_usd", b"fortune"), SHIPPED.held)
    assert isinstance(unknown, list) and unknown[0].line == 2 and "fortune" in unknown[0].what


@pytest.mark.parametrize(
    ("old", "new", "line", "what"),
    [
        (b"value = 4", b"value = 40", 3, "not within"),
        (b"value = 4", b"value = nan", 3, "finite"),
        (b"value = 4", b'value = "four"', 3, "float"),
        (b"high = 9", b"height = 9", 5, "height"),
        (b'source = "our own invoices"', b'source = " "', 7, "source"),
        (b"clonewatch.cards.v1", b"cards", 1, "Invalid"),
        (b"value = 4", b"value = ", 3, "no TOML"),
        (b"invoices", b"\xff", 7, "UTF-8"),
    ],
)
def test_a_fault_is_named_with_its_line(old: bytes, new: bytes, line: int, what: str) -> None:
    found = read(ONE.replace(old, new), SHIPPED.held)
    assert isinstance(found, list)
    assert [one.line for one in found] == [line] and what in found[0].what


def test_a_card_at_an_end_leaves_the_others_alone() -> None:
    ends = SHIPPED.ends("payment_usd")
    assert [(one.end, one.cards["payment_usd"]) for one in ends] == [("low", 0.5), ("high", 15.0)]
    assert all(one.cards["device_usd"] == SHIPPED["device_usd"] for one in ends)


@pytest.mark.skipif(not DATA.is_file(), reason="the public data sets are not beside the checkout")
def test_the_ageing_cards_are_what_the_data_says() -> None:
    table = pq.read_table(DATA)
    created = table["created"].to_numpy()
    act = table["first_comment_ts"].to_numpy(zero_copy_only=False).astype(float)
    days = ((act - created) / 86_400)[~np.isnan(act)]
    assert len(days) == 158 and len(created) == 943
    quartile, median, third, ninth = np.percentile(days, [25, 50, 75, 90])
    said = SHIPPED.held["ageing_days_median"]
    assert [said.low, said.value, said.high] == pytest.approx([quartile, median, third], abs=0.06)
    assert SHIPPED["ageing_days_ninth_decile"] == pytest.approx(ninth, abs=0.06)
    batches = np.sort(np.unique(created // 86_400, return_counts=True)[1])[::-1]
    assert SHIPPED["batch_share"] == pytest.approx(batches[0] / 943, abs=0.001)
    assert SHIPPED.held["batch_share"].low == pytest.approx(batches[1] / 943, abs=0.001)
