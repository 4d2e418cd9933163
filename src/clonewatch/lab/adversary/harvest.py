"""What a campaign carried away from a simulated log, counted from its labels."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from clonewatch.lab.rows import DAY
from clonewatch.lab.world import START
from clonewatch.model.errors import InputError

_COLUMNS = ("exchange_id", "account_id", "ts", "status", "prompt_id")


class Harvested(NamedTuple):
    """One log, counted. Days are those of the window, from 0.

    days, account: of each useful exchange, in order of time. harvested: all harvested requests. requests: of members,
    cover included. by_account: requests of every account of the log. members: account ids.
    """

    days: NDArray[np.float64]
    account: list[str]
    harvested: int
    requests: int
    by_account: Mapping[str, int]
    members: frozenset[str]

    @property
    def useful(self) -> int:
        """Different questions answered, none of which honest accounts asked too."""
        return len(self.days)


def harvest(log: Path) -> Harvested:
    """Count a log folder of the simulator: its exchanges against its labels. Raises InputError without labels.

    An exchange is useful if it was answered, is the first with its question, and no honest account sends the same
    prompt: repeats, failures and what the public asks anyway teach a student nothing new.
    """
    folder = log / "labels"
    if not (folder / "accounts.parquet").is_file():
        raise InputError("no labels", where=str(log), fix="Give a folder that a simulation wrote.")
    labels = pq.read_table(folder / "accounts.parquet", columns=["account_id", "role"])
    members = frozenset(labels.filter(pc.equal(labels["role"], "member"))["account_id"].to_pylist())
    table = pq.read_table(log / "exchanges", columns=list(_COLUMNS))
    ids = pq.read_table(folder / "exchanges.parquet", columns=["exchange_id"])["exchange_id"]
    taken = pc.is_in(table["exchange_id"], value_set=ids.combine_chunks())
    counts = table["account_id"].value_counts()
    by_account = dict(zip(counts.field("values").to_pylist(), counts.field("counts").to_pylist(), strict=True))
    mine = table.filter(taken)
    public = table.filter(pc.invert(taken))["prompt_id"].unique()
    answered = pc.and_(pc.equal(mine["status"], 200), pc.invert(pc.is_in(mine["prompt_id"], value_set=public)))
    good = mine.filter(answered).sort_by("ts")
    prompts = good["prompt_id"].combine_chunks().to_numpy(zero_copy_only=False)
    first = np.sort(np.unique(prompts, return_index=True)[1])
    useful = good.take(pa.array(first))
    ts = useful["ts"].cast(pa.int64()).to_numpy() - START
    return Harvested(
        ts / DAY,
        useful["account_id"].to_pylist(),
        mine.num_rows,
        sum(by_account.get(one, 0) for one in members),
        by_account,
        members,
    )
