"""The groups of a scan come in: each is a case seen again, or a new one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
from msgspec import UNSET, UnsetType

from clonewatch.cases.records import CONFIRMED, INNOCENT, OPEN, RULED, Answered, Case, Entry, Ruling, Sighting
from clonewatch.cases.store import Writing
from clonewatch.kernels.overlap import SAME, continued, overlaps
from clonewatch.model.errors import InputError
from clonewatch.model.same_evidence import Basis, news

_FIX = "Name a folder that `clonewatch scan --out` of this version wrote"
_COLUMNS = (
    "campaign_id",
    "outcome",
    "exchanges",
    "families",
    "evidence_odds_bits",
    "rank",
    "limiting_criterion",
    "limiting_ratio",
    "question",
    "look_alike",
)
# Only these open a case; a listed group is recorded where there is a case already.
_OPENS = ("flagged", "review")


class Group(NamedTuple):
    """A group of a scan with its members, bystanders left out."""

    sighting: Sighting
    accounts: frozenset[str]


class Arrived(NamedTuple):
    """What an import did. opened, again: cases. reopened: ruled cases, with what is new. known: imported before."""

    opened: tuple[str, ...]
    again: tuple[str, ...]
    reopened: dict[str, tuple[str, ...]]
    known: int


def groups(tables: Mapping[str, Path], summary: Mapping[str, Any]) -> list[Group]:
    """The groups of a result, the first to look at first. Raises InputError for one of another version.

    tables: the file of each table. summary: what `scan.json` holds.
    """
    folder = tables["campaigns"].parent
    try:
        first, last = str(summary["window"]["first"] or ""), str(summary["window"]["last"] or "")
        held = {name: tables[name].read_bytes() for name in ("campaigns", "members")}
        campaigns = pq.read_table(pa.BufferReader(held["campaigns"]), columns=list(_COLUMNS)).to_pylist()
        members = pq.read_table(pa.BufferReader(held["members"]), columns=["campaign_id", "account_id", "role"])
    except OSError as error:
        raise InputError(f"cannot read a result: {error.strerror or error}", where=str(folder), fix=_FIX) from error
    except (ValueError, KeyError, TypeError, pa.ArrowException) as error:
        raise InputError(f"this result cannot be read: {error}", where=str(folder), fix=_FIX) from error
    scan = sha256(sha256(held["campaigns"]).digest() + sha256(held["members"]).digest()).hexdigest()[:16]
    accounts: dict[str, set[str]] = {}
    for row in members.to_pylist():
        if row["role"] != "proxy_customer":
            accounts.setdefault(row["campaign_id"], set()).add(row["account_id"])
    found = sorted((row for row in campaigns if row["campaign_id"] in accounts), key=lambda row: row["rank"])
    return [_group(row, frozenset(accounts[row["campaign_id"]]), (scan, first, last)) for row in found]


def seen_as(found: Sequence[Group], case: Case, entries: Mapping[int, Entry], result: Path) -> Group:
    """The group of a result that a case was seen as; the largest of several. entries: about it. Raises InputError.

    found: the groups of the result, whose folder is named in messages.
    """
    seen = [entry.sighting for entry in entries.values() if entry.sighting]
    mine = [group for group in found if group.sighting in seen]
    if not mine:
        raise InputError(
            f"no scan in which {case.case} was seen has this result",
            where=str(result),
            fix=f"Name the result that it was last seen in, of the log to {case.seen.last[:10]}, or import this one:"
            " clonewatch cases import DIR",
        )
    return max(mine, key=lambda group: (len(group.accounts), group.sighting.group))


def _group(row: dict[str, Any], accounts: frozenset[str], scan: tuple[str, str, str]) -> Group:
    sighting = Sighting(
        scan=scan[0],
        group=row["campaign_id"],
        outcome=row["outcome"],
        accounts=len(accounts),
        exchanges=row["exchanges"] or 0,
        families=tuple(sorted(row["families"] or ())),
        odds_bits=row["evidence_odds_bits"],
        first=scan[1],
        last=scan[2],
        limiting=row["limiting_criterion"],
        ratio=row["limiting_ratio"],
        question=row["question"] or "",
        look_alike=row["look_alike"] or "",
    )
    return Group(sighting, accounts)


def arrive(store: Writing, found: Sequence[Group], by: str, at: str) -> Arrived:
    """Record the groups of one scan. A group continues the case with which it has most accounts in common, if half.

    It adds its accounts to that case, except those of other cases, so that a split stays a split. Other cases that lie
    in it were seen too. A scan that was imported before changes nothing.
    """
    cases = store.sharing(sorted(frozenset().union(*(group.accounts for group in found))))
    held = [store.accounts(case.accounts) for case in cases]
    alike = overlaps(held, [group.accounts for group in found])
    place = continued(alike)
    taken = frozenset(place.values())
    opened: list[str] = []
    again: list[str] = []
    reopened: dict[str, tuple[str, ...]] = {}
    known = 0
    for i, group in enumerate(found):
        inside = [j for j, share in alike[i].items() if share >= SAME and j not in taken]
        for j in ([place[i]] if i in place else []) + inside:
            if _is_known(store, cases[j], group.sighting):
                known += 1
                continue
            others = frozenset().union(*(held[k] for k in alike[i] if k != j))
            grown = held[j] | (group.accounts - others) if j == place.get(i) else held[j]
            cases[j], because = _see(store, cases[j], group, grown, (by, at))
            again.append(cases[j].case)
            if because:
                reopened[cases[j].case] = because
        if i not in place and group.sighting.outcome in _OPENS:
            opened.append(_open(store, group, by, at))
    return Arrived(tuple(opened), tuple(again), reopened, known)


def _open(store: Writing, group: Group, by: str, at: str) -> str:
    case = Case(store.new_id(), 1, OPEN, store.keep(group.accounts), len(group.accounts), group.sighting)
    store.add(Entry("seen", at, by, (case.case,), (case,), sighting=group.sighting))
    return case.case


def _see(
    store: Writing, case: Case, group: Group, accounts: frozenset[str], told: tuple[str, str]
) -> tuple[Case, tuple[str, ...]]:
    """Record a sighting of a case; returns it, and why it is open again if it was ruled on less."""
    sighting = group.sighting
    because = _new(store, case.ruling, group) if case.status == RULED and case.ruling else ()
    changed = msgspec.structs.replace(
        case,
        version=case.version + 1,
        accounts=store.keep(accounts),
        size=len(accounts),
        seen=sighting if sighting.last >= case.seen.last else case.seen,
        status=OPEN if because else case.status,
        answers=_still(store, case, accounts),
    )
    by, at = told
    store.add(Entry("seen", at, by, (case.case,), (changed,), because, sighting))
    return changed, because


def _still(store: Writing, case: Case, accounts: frozenset[str]) -> tuple[Answered, ...] | UnsetType:
    """The answers that are about the case as it is now: at least half of its accounts are among those asked about."""
    kept = (a for a in case.answered if len(store.accounts(a.accounts) & accounts) >= SAME * len(accounts))
    return tuple(kept) or UNSET


def _new(store: Writing, ruling: Ruling, group: Group) -> tuple[str, ...]:
    """What a group that needs a look again has beyond its ruling."""
    sighting = group.sighting
    if ruling.ruling == CONFIRMED or sighting.outcome not in _OPENS:
        return ()
    if ruling.ruling == INNOCENT and ruling.until and ruling.until < sighting.last[:10]:
        return (f"its ruling held until {ruling.until}",)
    ruled = Basis(store.accounts(ruling.accounts), frozenset(ruling.families), ruling.odds_bits)
    return news(ruled, Basis(group.accounts, frozenset(sighting.families), sighting.odds_bits), ruling.scope)


def _is_known(store: Writing, case: Case, sighting: Sighting) -> bool:
    """Whether a case was seen so before, as itself, in the case that it was split from, or as one that it absorbed."""
    own = store.history(case.case)
    before = [(n, entry) for n, entry in store.history(case.split_from) if n < own[0][0]] if case.split_from else []
    absorbed = [held for name in case.absorbed for held in store.history(name)]
    seen = [entry.sighting for _, entry in (*own, *before, *absorbed) if entry.sighting]
    return any((one.scan, one.group) == (sighting.scan, sighting.group) for one in seen)
