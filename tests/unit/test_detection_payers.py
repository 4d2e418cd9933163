"""Which clusters one payment instrument pays for."""

from __future__ import annotations

import pyarrow as pa
import pytest

from clonewatch.pipeline.detection.payers import one_payer
from clonewatch.pipeline.detection.signals import linking_signals


@pytest.mark.parametrize(
    ("signal", "inside", "paid"),
    [("payment", [16], True), ("payment", [15], False), ("payment", [8, 8], False), ("device", [20], False)],
)
def test_one_instrument_has_to_pay_for_eight_in_ten(signal: str, inside: list[int], paid: bool) -> None:
    rows = [{"cluster": 7, "signal": signal, "inside": n} for n in inside]
    schema = pa.schema([("cluster", pa.int32()), ("signal", pa.string()), ("inside", pa.int64())])
    assert one_payer(pa.Table.from_pylist(rows, schema=schema), {7: 20}, linking_signals()) == ({7} if paid else set())
