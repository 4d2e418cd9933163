"""Scores a scan against labels: accounts, campaigns, exchanges, and honest accounts wrongly flagged."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from clonewatch.model.defaults import APART
from clonewatch.model.errors import InputError

# A campaign is found when one alarm of this purity contains this share of its accounts.
FOUND_SHARE, FOUND_PURITY = 0.5, 0.8
ATTRIBUTED = 0.5  # posterior from which an exchange counts as attributed
MERGED_SHARE = 0.1  # an alarm merges campaigns when at least two of them each make up this share of it
BENIGN_RATES = (1e-3, 1e-4)  # false-positive rates at which recall is reported
_MEMBER_ROLES = ("core", "fringe")
_CLAIMS = {
    "campaigns": ("campaign_id", "score", "flagged"),
    "members": ("campaign_id", "account_id", "membership", "role"),
    "attribution": ("exchange_id", "campaign_id", "posterior"),
}


class Truth(NamedTuple):
    """Labels: campaign (None: none) and role of every labelled account; harvested exchanges and their campaign."""

    campaign: dict[str, str | None]
    role: dict[str, str]
    exchange_ids: pa.Array
    exchange_campaigns: list[str | None]
    exchanges: int | None  # rows of the whole log, if available
    log: tuple[Path, ...] = ()  # its files

    @property
    def members(self) -> dict[str, str]:
        """Accounts that belong to a campaign, with its id."""
        return {a: c for a, c in self.campaign.items() if c is not None and self.role[a] == "member"}


class Claim(NamedTuple):
    """What a scan reports: campaigns by id, memberships of accounts, and attributed exchanges."""

    score: dict[str, float]
    flagged: set[str]
    accounts: dict[str, set[str]]  # core and fringe of every campaign, flagged or not
    membership: list[tuple[str, str, float, str]]
    attributed: pa.Table
    visible: dict[str, tuple[int, int] | None]  # exchanges before it became visible, and in total


def evaluate(scan: Path | Mapping[str, Path], labels_dir: Path) -> dict[str, Any]:
    """Score a scan against labels. labels_dir: a log folder, or the `labels` folder within it.

    scan: the folder of its tables, or the path of each.
    Accounts without a label are left out and counted. Shares with a zero denominator are None. Raises InputError for a
    missing table or column, and when scan and labels have no account in common.
    """
    truth, claim = read_truth(labels_dir), read_claim(scan)
    mentioned = {account for _, account, _, _ in claim.membership}
    unknown = mentioned - truth.campaign.keys()
    if mentioned and unknown == mentioned:
        raise InputError(
            f"none of the {len(mentioned):,} accounts of the scan has a label",
            where=str(labels_dir),
            fix="Give the labels of the log that was scanned.",
        )
    return {
        "accounts": score_accounts(truth, claim),
        "campaigns": score_campaigns(truth, claim),
        "exchanges": score_exchanges(truth, claim),
        "ranking": score_ranking(truth, claim),
        "counts": {
            "labelled_accounts": len(truth.campaign),
            "member_accounts": len(truth.members),
            "true_campaigns": len(set(truth.members.values())),
            "harvested_exchanges": len(truth.exchange_ids),
            "exchanges": truth.exchanges,
            "scan_campaigns": len(claim.score),
            "flagged_campaigns": len(claim.flagged),
            "accounts_without_label": len(unknown),
        },
    }


def read_truth(labels_dir: Path) -> Truth:
    """Labels from a log folder or its `labels` folder."""
    folder = labels_dir / "labels" if (labels_dir / "labels").is_dir() else labels_dir
    accounts = _read(folder / "accounts.parquet", ("account_id", "campaign_id", "role"))
    ids = accounts["account_id"].to_pylist()
    if len(set(ids)) != len(ids):
        raise InputError("an account has two labels", where=str(folder / "accounts.parquet"), fix="Keep one row each.")
    exchanges = _read(folder / "exchanges.parquet", ("exchange_id", "campaign_id"))
    log = sorted((folder.parent / "exchanges").glob("*.parquet")) if folder.name == "labels" else []
    total = sum(pq.ParquetFile(p).metadata.num_rows for p in log) if log else None
    return Truth(
        dict(zip(ids, accounts["campaign_id"].to_pylist(), strict=True)),
        dict(zip(ids, accounts["role"].to_pylist(), strict=True)),
        exchanges["exchange_id"].combine_chunks(),
        exchanges["campaign_id"].to_pylist(),
        total,
        tuple(log),
    )


def read_claim(scan: Path | Mapping[str, Path]) -> Claim:
    """What a scan reports, read from the folder of its tables, or from the path of each."""
    paths = {name: scan / f"{name}.parquet" for name in _CLAIMS} if isinstance(scan, Path) else scan
    campaigns, members, attribution = (_read(paths[name], columns) for name, columns in _CLAIMS.items())
    ids = campaigns["campaign_id"].to_pylist()
    flags = campaigns["flagged"].to_pylist()
    flagged = {c for c, f in zip(ids, flags, strict=True) if f}
    rows = list(
        zip(*(members[n].to_pylist() for n in ("campaign_id", "account_id", "membership", "role")), strict=True)
    )
    unknown = {c for c, _, _, _ in rows} - set(ids)
    if unknown:
        raise InputError(
            f"members of campaigns that are not in campaigns.parquet: {', '.join(sorted(unknown)[:3])}",
            where=str(paths["members"]),
            fix="Take both tables from the same scan.",
        )
    accounts: dict[str, set[str]] = {c: set() for c in ids}
    for campaign, account, _, role in rows:
        if role in _MEMBER_ROLES:
            accounts[campaign].add(account)
    sure = pc.and_(
        pc.greater_equal(attribution["posterior"], pa.scalar(ATTRIBUTED, attribution["posterior"].type)),
        pc.is_in(attribution["campaign_id"], value_set=pa.array(sorted(flagged), pa.string())),
    )
    scores = [float("-inf") if s is None else float(s) for s in campaigns["score"].to_pylist()]
    return Claim(
        dict(zip(ids, scores, strict=True)),
        flagged,
        accounts,
        [(c, a, float(m or 0.0), r) for c, a, m, r in rows],
        attribution.filter(sure),
        _visibility(campaigns),
    )


def score_accounts(truth: Truth, claim: Claim) -> dict[str, Any]:
    """Precision, recall and false-positive rate over labelled accounts; honest accounts flagged, by role."""
    members = truth.members
    flagged = (
        set().union(*(claim.accounts[c] for c in claim.flagged)) & truth.campaign.keys() if claim.flagged else set()
    )
    hit = flagged & members.keys()
    wrong = flagged - members.keys()
    honest = len(truth.campaign) - len(members)
    honest_by_role = Counter(truth.role[a] for a in truth.campaign if a not in members)
    by_campaign = Counter(members.values())
    caught = Counter(members[a] for a in hit)
    return {
        "flagged": len(flagged),
        "true_positive": len(hit),
        "false_positive": len(wrong),
        "precision": share(len(hit), len(flagged)),
        "recall": share(len(hit), len(members)),
        "false_positive_rate": share(len(wrong), honest),
        "honest": honest,
        "honest_flagged_by_role": dict(sorted(Counter(truth.role[a] for a in wrong).items())),
        "honest_by_role": dict(sorted(honest_by_role.items())),
        "recall_by_campaign": {c: share(caught[c], n) for c, n in sorted(by_campaign.items())},
    }


def score_campaigns(truth: Truth, claim: Claim) -> dict[str, Any]:
    """Which true campaigns were found; false alarms; alarms per campaign; merged alarms."""
    members = truth.members
    sizes = Counter(members.values())
    alarms: dict[str, dict[str, Any]] = {}
    for alarm in sorted(claim.flagged):
        known = [a for a in claim.accounts[alarm] if a in truth.campaign]
        within = Counter(members[a] for a in known if a in members)
        leading, count = max(sorted(within.items()), key=lambda item: item[1], default=(None, 0))
        alarms[alarm] = {
            "accounts": len(claim.accounts[alarm]),
            "campaign": leading,
            "purity": share(count, len(known)),
            "harvest_purity": share(sum(within.values()), len(known)),
            "coverage": share(count, sizes[leading]) if leading else None,
            "merges": sorted(c for c, n in within.items() if n >= MERGED_SHARE * len(known)),
        }
    found = {
        a["campaign"]
        for a in alarms.values()
        if a["campaign"] and a["coverage"] >= FOUND_SHARE and a["purity"] >= FOUND_PURITY
    }
    alarms_of = Counter(a["campaign"] for a in alarms.values() if a["campaign"] and (a["purity"] or 0) >= FOUND_SHARE)
    false = sorted(n for n, a in alarms.items() if (a["harvest_purity"] or 0.0) < FOUND_SHARE)
    return {
        "recall": share(len(found), len(sizes)),
        "found": sorted(found),
        "missed": sorted(sizes.keys() - found),
        "alarms": alarms,
        "false_alarms": false,
        "false_discovery_rate": share(len(false), len(alarms)),
        "alarms_per_campaign": {c: alarms_of[c] for c in sorted(sizes)},
        "fragmentation": share(sum(alarms_of.values()), len(alarms_of)),
        "merged_alarms": sorted(n for n, a in alarms.items() if len(a["merges"]) > 1),
        "share_before_visible": _before_visible(alarms, claim),
    }


def score_exchanges(truth: Truth, claim: Claim) -> dict[str, Any]:
    """Attribution precision and recall per exchange, and honest exchanges attributed, in total and by alarm.

    Labels name exchanges by their id alone. Where several exchanges have one id, neither side says which of them it
    means: such rows are counted as `unjoined` and left out. Where no id of the scan is one of the labelled log, as with
    ids that the reader made, that holds for all of them, and shares are None rather than 0.
    """
    truth, claim, unjoined = _joinable(truth, claim)
    place = pc.index_in(claim.attributed["exchange_id"], value_set=truth.exchange_ids).combine_chunks()
    true = np.asarray(pc.fill_null(place, -1).to_numpy(zero_copy_only=False), dtype=np.int64)
    alarm = claim.attributed["campaign_id"].to_pylist()
    right = np.unique(true[true >= 0])
    wrong_ids = pc.unique(claim.attributed["exchange_id"].filter(pa.array(true < 0)))
    wrong = Counter(a for a, t in zip(alarm, true.tolist(), strict=True) if t < 0)
    size = Counter(alarm)
    sizes = Counter(truth.exchange_campaigns)
    caught = Counter(truth.exchange_campaigns[i] for i in right.tolist())
    attributed = len(right) + len(wrong_ids)
    honest = None if truth.exchanges is None else truth.exchanges - len(truth.exchange_ids)
    return {
        "attributed": attributed,
        "precision": share(len(right), attributed),
        "recall": share(len(right), len(truth.exchange_ids)),
        "honest_hit": len(wrong_ids),
        "honest": honest,
        "honest_hit_rate": None if honest is None else share(len(wrong_ids), honest),
        "by_alarm": {
            a: {"attributed": n, "honest_hit": wrong[a], "precision": share(n - wrong[a], n)}
            for a, n in sorted(size.items())
        },
        "unjoined": unjoined,
        "recall_by_campaign": {str(c): share(caught[c], n) for c, n in sorted(sizes.items(), key=lambda i: str(i[0]))},
    }


def _joinable(truth: Truth, claim: Claim) -> tuple[Truth, Claim, dict[str, int]]:
    """The same without rows whose id belongs to several exchanges, and how many rows those are."""
    if _are_strange(truth, claim):
        all_of_them = {"labels": len(truth.exchange_ids), "attributed": claim.attributed.num_rows}
        none = truth._replace(exchange_ids=truth.exchange_ids[:0], exchange_campaigns=[], exchanges=None)
        return none, claim._replace(attributed=claim.attributed[:0]), all_of_them
    shared = _shared_ids(truth, claim)
    if not len(shared):
        return truth, claim, {"labels": 0, "attributed": 0}
    keep = pc.invert(pc.is_in(truth.exchange_ids, value_set=shared))
    sure = pc.invert(pc.is_in(claim.attributed["exchange_id"], value_set=shared))
    campaigns = [c for c, kept in zip(truth.exchange_campaigns, keep.to_pylist(), strict=True) if kept]
    fewer = truth._replace(exchange_ids=truth.exchange_ids.filter(keep), exchange_campaigns=campaigns)
    said = claim._replace(attributed=claim.attributed.filter(sure))
    lost = len(truth.exchange_ids) - len(fewer.exchange_ids), claim.attributed.num_rows - said.attributed.num_rows
    return fewer, said, {"labels": lost[0], "attributed": lost[1]}


def _are_strange(truth: Truth, claim: Claim) -> bool:
    """Whether no id of the scan occurs in the labels or in their log: it is of another log, or its ids are made."""
    ids = claim.attributed["exchange_id"].cast(pa.string())
    if not (len(ids) and len(truth.exchange_ids) and truth.log) or _meet(ids, truth.exchange_ids):
        return False
    return not any(_meet(ids, pq.read_table(file, columns=["exchange_id"])["exchange_id"]) for file in truth.log)


def _meet(ids: pa.ChunkedArray, others: pa.Array | pa.ChunkedArray) -> bool:
    return bool(pc.any(pc.is_in(ids, value_set=others.cast(pa.string()))).as_py())


def _shared_ids(truth: Truth, claim: Claim) -> pa.Array:
    """Ids of several exchanges: labelled twice, attributed twice to one campaign, or told apart in the log."""
    labelled = pa.table({"id": truth.exchange_ids}).group_by("id").aggregate([("id", "count")])
    rows = claim.attributed.select(["exchange_id", "campaign_id"]).rename_columns(["id", "campaign"])
    attributed = rows.group_by(["id", "campaign"]).aggregate([("id", "count")])
    found = [t.filter(pc.greater(t["id_count"], 1))["id"].combine_chunks() for t in (labelled, attributed)]
    if any(map(len, found)):
        found += [
            _shared_in_log(truth, pa.chunked_array([truth.exchange_ids, *claim.attributed["exchange_id"].chunks]))
        ]
    return pa.chunked_array([one.cast(pa.string()) for one in found], pa.string()).unique()


def _shared_in_log(truth: Truth, ids: pa.ChunkedArray) -> pa.Array:
    """Those ids that the log has for several accounts, or at times too far apart for one call."""
    wanted = ids.cast(pa.string()).unique()
    parts = [pq.read_table(file, columns=["exchange_id", "account_id", "ts"]) for file in truth.log]
    if not parts:
        return pa.array([], pa.string())
    log = pa.concat_tables([part.filter(pc.is_in(part["exchange_id"], value_set=wanted)) for part in parts])
    groups = log.group_by("exchange_id").aggregate([("account_id", "count_distinct"), ("ts", "min"), ("ts", "max")])
    apart = pc.subtract(groups["ts_max"].cast(pa.int64()), groups["ts_min"].cast(pa.int64()))
    several = pc.or_(pc.greater(groups["account_id_count_distinct"], 1), pc.greater(apart, APART))
    return groups.filter(several)["exchange_id"].combine_chunks()


def score_ranking(truth: Truth, claim: Claim) -> dict[str, Any]:
    """Account recall at given false-positive rates, regardless of flags.

    An account scores its membership times the rank of its campaign's score among all campaigns (lowest 1/n, highest 1);
    the best over campaigns counts; proxy customers score nothing. Ties count against the scan.
    """
    order = sorted(claim.score, key=lambda c: (claim.score[c], c))
    below = {c: sum(claim.score[o] <= claim.score[c] for o in order) / len(order) for c in order}
    best: dict[str, float] = {}
    for campaign, account, membership, role in claim.membership:
        if role in _MEMBER_ROLES:
            best[account] = max(best.get(account, 0.0), membership * below[campaign])
    members = truth.members
    benign = sorted((best.get(a, 0.0) for a in truth.campaign if a not in members), reverse=True)
    scores = [best.get(a, 0.0) for a in members]
    found: dict[str, Any] = {}
    for rate in BENIGN_RATES:
        allowed = int(rate * len(benign))
        threshold = benign[allowed] if allowed < len(benign) else 0.0
        found[f"recall_at_fpr_{rate:g}"] = share(sum(s > max(threshold, 0.0) for s in scores), len(scores))
        found[f"honest_allowed_at_fpr_{rate:g}"] = allowed
    return found


def share(part: float, whole: float) -> float | None:
    """Part / whole, None when the whole is zero.

    >>> share(1, 4), share(0, 0)
    (0.25, None)
    """
    return part / whole if whole else None


def _visibility(campaigns: pa.Table) -> dict[str, tuple[int, int] | None]:
    if not {"visible_exchanges", "harvested_exchanges"} <= set(campaigns.column_names):
        return dict.fromkeys(campaigns["campaign_id"].to_pylist())
    columns = ("campaign_id", "visible_exchanges", "harvested_exchanges")
    triples = zip(*(campaigns[n].to_pylist() for n in columns), strict=True)
    return {c: None if before is None or not total else (before, total) for c, before, total in triples}


def _before_visible(alarms: dict[str, dict[str, Any]], claim: Claim) -> dict[str, float | None]:
    """For each true campaign with an alarm: the smallest share of an alarm's harvest sent before it became visible."""
    found: dict[str, float | None] = {}
    for name, alarm in alarms.items():
        seen, campaign = claim.visible[name], alarm["campaign"]
        if campaign is not None and seen is not None:
            now, before = seen[0] / seen[1], found.get(campaign)
            found[campaign] = now if before is None else min(before, now)
    return found


def _read(path: Path, needed: Iterable[str]) -> pa.Table:
    if not path.is_file():
        raise InputError(f"no {path.name}", where=str(path.parent), fix="Give the folder of a finished scan or log.")
    try:
        names = pq.read_schema(path).names
        missing = [n for n in needed if n not in names]
        if missing:
            raise InputError(
                f"no column {', '.join(missing)}",
                where=str(path),
                fix="Scan again: an older version may have written it.",
            )
        optional = ("visible_exchanges", "harvested_exchanges") if path.stem == "campaigns" else ()
        return pq.read_table(path, columns=[*needed, *(n for n in optional if n in names)])
    except pa.ArrowInvalid as broken:
        raise InputError(f"not a Parquet file: {broken}", where=str(path), fix="Write the table again.") from broken
