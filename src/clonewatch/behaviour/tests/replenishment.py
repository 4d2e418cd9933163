"""New accounts that start right after accounts of the same cluster were banned."""

import numpy as np
import pyarrow as pa

from clonewatch.ports.behaviour import BehaviouralTest
from clonewatch.ports.engine import Fold
from clonewatch.ports.signal import Card, Signal

_WITHIN = 48 * 3_600_000_000  # a replacement starts within two days
_DAY = 86_400_000_000
_SETTLING = 2 * _DAY  # accounts first seen in the log's first two days may be older than the log


def replacements(groups: pa.Table, entities: pa.Table, owners: pa.Table, events: pa.Table) -> pa.Table:
    """Log ratio of members that started within two days after a member's ban to the number under even starts.

    Members that start on one day may all have one reason, such as an event, and the bans of one day are one occasion.
    So the error is that of leaving out days of either kind, and one day of bans shows nothing.
    """
    schema = pa.schema([("cluster", pa.int32()), ("value", pa.float64()), ("error", pa.float64()), ("n", pa.int64())])
    bans = [
        (account, ts)
        for kind, account, ts in zip(*(events[c].to_pylist() for c in ("kind", "account", "ts")), strict=True)
        if kind == "ban" and account is not None
    ]
    if not bans or not groups.num_rows:
        return schema.empty_table()
    owner = dict(zip(owners["account"].to_pylist(), owners["entity"].to_pylist(), strict=True))
    began = entities.sort_by("entity")["first_ts"].to_numpy()
    opened, closed = int(began.min()) + _SETTLING, int(entities["last_ts"].to_numpy().max())
    banned: dict[int, list[int]] = {}
    for account, ts in bans:
        banned.setdefault(owner.get(account, -1), []).append(ts)
    out: dict[str, list[float]] = {"cluster": [], "value": [], "error": [], "n": []}
    cluster, entity = groups["cluster"].to_numpy(), groups["entity"].to_numpy()
    for number in np.unique(cluster):
        members = entity[cluster == number]
        ends = np.sort([ts for m in members.tolist() for ts in banned.get(m, ())])
        starts = began[members]
        starts = starts[starts > opened]
        if not len(ends) or not len(starts) or closed <= opened:
            continue
        seen, expected = _after(starts, ends, opened, closed)
        out["cluster"].append(int(number))
        out["value"].append(float(np.log((seen + 0.5) / (expected + 0.5))))
        out["error"].append(
            max(
                _by_days([_after(starts[kept], ends, opened, closed) for kept in _left_out(starts)]),
                _by_days([_after(starts, ends[kept], opened, closed) for kept in _left_out(ends)]),
                np.sqrt(1 / (seen + 0.5) + 1 / (expected + 0.5)),
            )
        )
        out["n"].append(len(starts))
    return pa.table(out, schema=schema)


def _after(starts: np.ndarray, ends: np.ndarray, opened: int, closed: int) -> tuple[int, float]:
    """How many starts come within two days after an end, and how many would by chance. ends: sorted."""
    before = np.searchsorted(ends, starts, side="left")
    after = (before > 0) & (starts - ends[np.maximum(before - 1, 0)] <= _WITHIN)
    return int(after.sum()), len(starts) * _covered(ends, opened, closed) / (closed - opened)


def _left_out(times: np.ndarray) -> list[np.ndarray]:
    """For each day of these times, which of them are of other days; nothing where all are of one day."""
    day = times // _DAY
    days = np.unique(day)
    return [day != one for one in days] if len(days) > 1 else []


def _by_days(left: list[tuple[int, float]]) -> float:
    """Jackknife error of the log ratio. left: what was seen and expected with each day left out."""
    if not left:
        return float("inf")
    ratio = np.log([(seen + 0.5) / (expected + 0.5) for seen, expected in left])
    return float(np.sqrt((len(ratio) - 1) / len(ratio) * ((ratio - ratio.mean()) ** 2).sum()))


def _covered(ends: np.ndarray, opened: int, closed: int) -> float:
    """Time within two days after any ban, inside the window, in microseconds. ends: the times of bans, sorted."""
    starts, stops = np.clip(ends, opened, closed), np.clip(ends + _WITHIN, opened, closed)
    return float((np.minimum(stops, np.append(starts[1:], closed)) - starts).sum())


TEST = BehaviouralTest(
    Signal(
        "replenishment",
        "behaviour",
        Card(
            title="Replaced after bans",
            family="lifecycle",
            catches="pools that refill within two days of a ban",
            misses="reserve accounts opened long before",
            innocent="a customer who opens a second account after a wrong ban",
            excluded_by="one customer replaces one account, not a group",
        ),
        needs=(("events.kind", "events.account_id"),),
        suggests=(("wrongly_banned", 1.0),),
    ),
    steps=(
        Fold("behaviour_replenishment", ("candidate_groups", "entities", "owners", "events"), replacements, 50_000_000),
    ),
    usual=0.0,
    spread=0.4,
    effect=0.9,
    says="Members started within two days after another member's ban {ratio:.1f} times more often than evenly spread"
    " starts would ({n:,} starts).",
    least=6,
    deceptive=True,
    gathered_by="succession",
)
