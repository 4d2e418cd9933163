"""One operator on two providers: what each finds alone, and what both find together at the same error rate.

    python -m evals.provider_hop FOLDER [--seeds 1-20] [--out FILE.json]

A world of the laboratory is cut into the logs of two providers. Honest people are customers of one, the other or both,
with the same card and device at both, since that is what joins wrongly. The operator's accounts before a day are at the
first provider, those after it at the second, under other names and with the same cards and devices. Each provider scans
its log with a key of its own. Groups are joined by the code that `clonewatch match` uses, on elements of one epoch; the
intersection itself is taken in the clear, because the blinded one is exact.

Found alone: a group of the operator is among the discoveries of Benjamini and Hochberg (1995) over all groups of that
provider, at the same rate Q as joint campaigns are raised. Pairs of providers without any operator are measured too:
cut from one world, with shared customers, and from two worlds.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

import clonewatch
from clonewatch.cli.match_values import groups
from clonewatch.lab.scenarios import Scenario
from clonewatch.lab.simulate import simulate
from clonewatch.sharing.matching import epoch as epochs
from clonewatch.sharing.matching.epoch import Epoch
from clonewatch.sharing.matching.joint import FALSE_JOINS, Joint, joined
from clonewatch.sharing.matching.sightings import Met, Seen
from clonewatch.sharing.matching.values import Hasher, Held

HERE = Path(__file__).resolve().parent
# Of honest accounts: at the first provider only, at the second only, the rest at both.
FIRST, SECOND = 0.40, 0.40
# An operation that hides well and is small at each provider: what neither sees by itself.
WEAK = Scenario(
    "a small operator with few requests, most of them reworded, among a few hundred people",
    (("hop", "s09_hydra"),),
    people=420,
    firms=6,
    days=30,
    crowd=0.12,
    pool=(
        ("accounts", (28, 36)),
        ("rate", (0.6, 1.0)),
        ("paraphrase", (0.5, 0.7)),
        ("cover", (0.4, 0.6)),
        ("per_card", (5, 8)),
        ("elicitation", (0.2, 0.4)),
        ("formatted", (0.0, 0.2)),
    ),
)
QUIET = WEAK._replace(summary="the same people without an operator", campaigns=(), pool=())
WORLDS = {"provider_hop": WEAK, "provider_hop_quiet": QUIET}


class Provider(NamedTuple):
    """What one provider knows. p: p-values of its groups. harvest: groups that are mostly the operator's."""

    seen: Seen
    p: dict[str, float]
    flagged: frozenset[str]
    harvest: frozenset[str]


def main() -> None:
    """Measure, print, and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where logs and results are kept while it runs")
    parser.add_argument("--seeds", default="1-10")
    parser.add_argument("--quiet-seeds", default="101-110")
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    asked.folder.mkdir(parents=True, exist_ok=True)
    held = epochs.new("pact", "e1", epochs.today(), 30)
    hops = [_hop(asked, held, seed) for seed in _range(asked.seeds)]
    quiet = [_pair(asked, held, "provider_hop_quiet", seed) for seed in _range(asked.quiet_seeds)]
    told = {
        "seeds": asked.seeds,
        "quiet_seeds": asked.quiet_seeds,
        "q": FALSE_JOINS,
        "hops": [one for one, _ in hops],
        "found": _found([one for one, _ in hops]),
        "honest": _honest(quiet, held),
    }
    print(json.dumps({name: told[name] for name in ("found", "honest")}, indent=1))
    if asked.out:
        asked.out.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")


def _range(text: str) -> range:
    """`11-18`, one number, or nothing for none."""
    low, _, high = text.partition("-")
    return range(int(low), int(high or low) + 1) if low else range(0)


def _hop(asked: argparse.Namespace, held: Epoch, seed: int) -> tuple[dict[str, Any], tuple[Provider, Provider]]:
    pair = _pair(asked, held, "provider_hop", seed)
    found = joint(pair)
    right = [one for one in found if _is_operator(one, pair)]
    told = {
        "seed": seed,
        "groups": [len(one.p) for one in pair],
        "operator_groups": [len(one.harvest) for one in pair],
        "operator_p": [min((one.p[g] for g in one.harvest), default=None) for one in pair],
        "alone": [bool(discoveries(one.p) & one.harvest) for one in pair],
        "flagged": [bool(one.flagged & one.harvest) for one in pair],
        "joint_campaigns": len(found),
        "joint": any(one.review for one in right),
        "joint_p": min((one.p for one in right), default=None),
        "hop_seen": any(one.hops for one in right),
        "false_reviews": sum(one.review for one in found if not _is_operator(one, pair)),
    }
    print(json.dumps(told), flush=True)
    return told, pair


def _found(hops: Sequence[dict[str, Any]]) -> dict[str, int]:
    return {
        "worlds": len(hops),
        "first_alone": sum(one["alone"][0] for one in hops),
        "second_alone": sum(one["alone"][1] for one in hops),
        "either_alone": sum(any(one["alone"]) for one in hops),
        "either_flagged": sum(any(one["flagged"]) for one in hops),
        "joint": sum(one["joint"] for one in hops),
        "joint_and_neither_alone": sum(one["joint"] and not any(one["alone"]) for one in hops),
        "hop_seen": sum(one["hop_seen"] for one in hops),
        "false_reviews": sum(one["false_reviews"] for one in hops),
    }


def _honest(quiet: Sequence[tuple[Provider, Provider]], held: Epoch) -> dict[str, dict[str, float]]:
    """Joins and raised joins of honest pairs: one world with shared customers, and all pairs of unrelated worlds."""
    logs = [one for pair in quiet for one in pair]
    worlds = [number for number, _ in enumerate(quiet) for _ in range(2)]
    apart = [(logs[i], logs[j]) for i, j in combinations(range(len(logs)), 2) if worlds[i] != worlds[j]]
    told: dict[str, dict[str, float]] = {}
    for name, pairs in (("shared_customers", list(quiet)), ("unrelated", apart)):
        found = [joint(pair) for pair in pairs]
        told[name] = {
            "pairs": len(pairs),
            "groups": sum(len(one.p) for pair in pairs for one in pair),
            "joined": sum(len(one) for one in found),
            "pairs_with_a_join": sum(bool(one) for one in found),
            "raised": sum(one.review for held_by in found for one in held_by),
            "pairs_with_a_raised_join": sum(any(one.review for one in held_by) for held_by in found),
        }
    return told


def joint(pair: tuple[Provider, Provider], floor: int = epochs.FLOOR) -> list[Joint]:
    """Joint campaigns as the first provider sees them after it asked the second."""
    first, second = pair
    theirs = second.seen.held().accounts
    both = {kind: set(named) & set(theirs.get(kind, ())) for kind, named in first.seen.held().accounts.items()}
    met = []
    for group, named in first.seen.touched(both, floor).items():
        ours = first.seen.sighting(group, "second")
        for other in second.seen.touched(named, floor):
            met.append(Met("second", group, ours, second.seen.sighting(other, "first")))
    return joined(met)


def discoveries(values: dict[str, float], q: float = FALSE_JOINS) -> frozenset[str]:
    """Groups that Benjamini and Hochberg (1995) discover among a provider's own."""
    order = sorted(values, key=lambda name: values[name])
    most = max((k for k, name in enumerate(order, 1) if values[name] <= q * k / len(order)), default=0)
    return frozenset(order[:most])


def _is_operator(one: Joint, pair: tuple[Provider, Provider]) -> bool:
    return bool(set(one.groups) & pair[0].harvest)


def _pair(asked: argparse.Namespace, held: Epoch, scenario: str, seed: int) -> tuple[Provider, Provider]:
    with tempfile.TemporaryDirectory(dir=asked.folder) as scratch:
        place = Path(scratch)
        simulate(scenario, place / "world", seed=seed, known=WORLDS)
        first, second = cut(place / "world", place, seed)
        return _scanned(first, held, place / "r1", seed), _scanned(second, held, place / "r2", seed + 1_000)


def cut(world: Path, out: Path, seed: int) -> tuple[Path, Path]:
    """The logs of two providers, cut from one world; the operator moves half-way through its own exchanges."""
    accounts = pq.read_table(world / "accounts.parquet")
    labels = pq.read_table(world / "labels" / "accounts.parquet")
    exchanges = pa.concat_tables(pq.read_table(path) for path in sorted((world / "exchanges").glob("*.parquet")))
    events = pq.read_table(world / "events.parquet")
    operator = set(labels.filter(pc.is_valid(labels["campaign_id"]))["account_id"].to_pylist())
    names = sorted(set(accounts["account_id"].to_pylist()))
    drawn = np.random.default_rng([seed, 19]).random(len(names))
    honest = {name: place for name, place in zip(names, drawn, strict=True) if name not in operator}
    ours = pc.is_in(exchanges["account_id"], value_set=pa.array(sorted(operator), pa.string()))
    stamps = exchanges.filter(ours)["ts"]
    middle = pc.quantile(stamps.cast(pa.int64()), 0.5)[0].as_py() if len(stamps) else 0
    day = datetime.fromtimestamp(middle / 1e6, UTC).replace(hour=0, minute=0, second=0) if len(stamps) else None
    made = []
    for number in range(2):
        # Who is at the other one only is left out.
        low, high = ((FIRST, FIRST + SECOND), (0.0, FIRST))[number]
        held = pa.array(sorted(name for name, place in honest.items() if not low <= place < high), pa.string())
        chosen = pc.is_in(exchanges["account_id"], value_set=held)
        if day is not None:
            moment = pa.scalar(day, exchanges.schema.field("ts").type)
            when = pc.less(exchanges["ts"], moment) if number == 0 else pc.greater_equal(exchanges["ts"], moment)
            chosen = pc.or_(chosen, pc.and_(ours, when))
        made.append(_written(out / f"p{number}", exchanges.filter(chosen), accounts, events, labels, number))
    return made[0], made[1]


def _written(
    place: Path, exchanges: pa.Table, accounts: pa.Table, events: pa.Table, labels: pa.Table, number: int
) -> Path:
    """One provider's folder: its accounts have names of their own, and were signed up when they first came there."""
    place.mkdir()
    there = pc.unique(exchanges["account_id"])

    def named(table: pa.Table, column: str = "account_id") -> pa.Table:
        names = pc.binary_join_element_wise(table[column], f"p{number}", "-")
        return table.set_column(table.column_names.index(column), table.schema.field(column), names)

    (place / "exchanges").mkdir()
    pq.write_table(named(exchanges), place / "exchanges" / "part-0000.parquet")
    pq.write_table(
        named(accounts.filter(pc.is_in(accounts["account_id"], value_set=there))), place / "accounts.parquet"
    )
    mine = pc.or_(pc.is_null(events["account_id"]), pc.is_in(events["account_id"], value_set=there))
    pq.write_table(named(events.filter(mine)), place / "events.parquet")
    pq.write_table(named(labels.filter(pc.is_in(labels["account_id"], value_set=there))), place / "labels.parquet")
    return place


def _scanned(place: Path, held: Epoch, out: Path, seed: int) -> Provider:
    key = out.with_suffix(".key")
    key.write_text(np.random.default_rng(seed).bytes(32).hex() + "\n")
    key.chmod(0o600)
    clonewatch.scan(
        [place / "exchanges"], out=out, accounts=place / "accounts.parquet", events=place / "events.parquet", key=key
    )
    found = groups(out)
    labels = pq.read_table(place / "labels.parquet")
    operator = set(labels.filter(pc.is_valid(labels["campaign_id"]))["account_id"].to_pylist())
    flags = pq.read_table(out / "campaigns.parquet", columns=["campaign_id", "flagged"])
    flagged = frozenset(flags.filter(flags["flagged"])["campaign_id"].to_pylist())
    harvest = frozenset(one.id for one in found if 2 * len(one.accounts & operator) > len(one.accounts))
    return Provider(Seen(held, values_of(place, held), found), {one.id: one.p for one in found}, flagged, harvest)


def values_of(place: Path, held: Epoch) -> Held:
    """Elements of a provider's accounts: what it knows of cards and devices."""
    hasher = Hasher(held)
    found: dict[str, dict[str, set[str]]] = {}
    for kind, value, account in rows(place):
        found.setdefault(kind, {}).setdefault(hasher.element(kind, value), set()).add(account)
    return Held({kind: {e: frozenset(a) for e, a in named.items()} for kind, named in found.items()}, {})


def rows(place: Path) -> Iterator[tuple[str, str, str]]:
    """Kind, value and account, as the file of values has them."""
    columns = {"payment_fingerprint": "payment", "device_fingerprint": "device"}
    for row in pq.read_table(place / "accounts.parquet", columns=["account_id", *columns]).to_pylist():
        yield from ((kind, row[name], row["account_id"]) for name, kind in columns.items() if row[name])


if __name__ == "__main__":
    main()
