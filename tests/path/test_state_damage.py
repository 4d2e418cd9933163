"""A damaged state is refused by name, with the way out, and nothing is made of what it seems to say."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from tests.path.test_state import Days, detected, manifest, put
from tests.path.test_state_columns import days

from clonewatch.model.errors import StateError
from clonewatch.pipeline.daily import maintenance

__all__ = ["days"]
MANIFEST = "state.json"


@pytest.fixture(scope="module")
def two(days: Days, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two of the three parts of the log, ingested one by one. Tests must not change it."""
    state = tmp_path_factory.mktemp("two") / "state"
    for folder in days.folders[:2]:
        put(days, state, folder)
    return state


@pytest.fixture
def mine(two: Path, tmp_path: Path) -> Path:
    """A copy of it that a test may damage."""
    shutil.copytree(two, tmp_path / "state")
    return tmp_path / "state"


def flip(path: Path, start: float = 0.25, count: int = 40) -> None:
    """Change bytes in the middle of a file; its size and its footer stay."""
    data = bytearray(path.read_bytes())
    first = int(len(data) * start)
    for at in range(first, first + count):
        data[at] ^= 0xA5
    path.write_bytes(data)


def refused(act: Callable[[], object], name: str) -> None:
    """An act ends in an error that names the file and the command that repairs it."""
    with pytest.raises(StateError) as caught:
        act()
    assert name in caught.value.where and ".reading-" not in caught.value.where
    assert "clonewatch state verify --repair" in caught.value.fix


@pytest.mark.parametrize("kind", ["accounts", "facts", "events", "exchanges"])
def test_changed_bytes_are_noticed_by_every_command_that_reads_them(
    days: Days, mine: Path, tmp_path: Path, kind: str
) -> None:
    """Account ids whose bytes changed would name accounts that do not exist."""
    name = next(file.name for file in reversed(manifest(days, mine).files()) if kind in file.name)
    flip(mine / "parts" / name)
    before = (mine / MANIFEST).read_bytes()
    account = pq.read_table(days.folders[0] / "exchanges")["account_id"][0].as_py()
    refused(lambda: detected(days, mine, tmp_path / "out"), name)
    assert not list((tmp_path / "out").rglob("*.parquet"))
    refused(lambda: put(days, mine, days.folders[2]), name)
    refused(lambda: maintenance.forget(mine, [account], days.key), name)
    assert (mine / MANIFEST).read_bytes() == before
