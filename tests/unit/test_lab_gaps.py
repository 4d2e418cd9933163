"""A simulated log can lack what an operator does not keep."""

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from clonewatch.lab.gaps import GAPS
from clonewatch.lab.simulate import simulate
from clonewatch.model.errors import SetupError


@pytest.mark.parametrize("name", ["trusted", "payment", "network", "content", "events"])
def test_a_log_lacks_what_is_named_and_nothing_else(name: str, tmp_path: Path) -> None:
    simulate("quiet_plain", tmp_path / "whole", scale=0.02)
    simulate("quiet_plain", tmp_path / "less", scale=0.02, without=(name,))
    for table in ("exchanges", "accounts.parquet"):
        whole, less = pq.read_table(tmp_path / "whole" / table), pq.read_table(tmp_path / "less" / table)
        kept = [c for c in whole.column_names if c not in GAPS[name]]
        assert less.column_names == kept
        assert less.equals(whole.select(kept))
    assert (pq.read_table(tmp_path / "less" / "events.parquet").num_rows == 0) == (name == "events")


def test_an_unknown_name_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="colour"):
        simulate("quiet_plain", tmp_path / "log", without=("colour",))
