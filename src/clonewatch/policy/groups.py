"""Groups of a scan as a policy sees them: accounts with their facts, and what their requests have in common."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from clonewatch.kernels.overlap import SAME
from clonewatch.policy.facts import of_account, of_group
from clonewatch.policy.matching import BYSTANDER, Member

# The family of evidence whose attributes say what a request asks for; those of others say who asks.
CONTENT = "content"
CONFIRMED = "confirmed"
Rows = Iterable[Mapping[str, Any]]


class Ruled(NamedTuple):
    """What people ruled about the accounts of a case, and when.

    explanation: the innocent one, where it was ruled innocent.
    """

    case: str
    ruling: str
    accounts: frozenset[str]
    at: datetime
    explanation: str = ""


def members(campaigns: Rows, accounts: Rows, last: datetime | None, ruled: Iterable[Ruled] = ()) -> list[Member]:
    """Every account of every group, with its facts. campaigns, accounts: rows of tables `campaigns` and `members`.

    last: end of the scan's window. ruled: a group has the ruling of the case in which half of its accounts are.
    """
    held = list(accounts)
    of: dict[str, set[str]] = {}
    for row in held:
        if row["role"] != BYSTANDER:
            of.setdefault(row["campaign_id"], set()).add(row["account_id"])
    cases = list(ruled)
    facts = {row["campaign_id"]: of_group(row, _ruling(of.get(row["campaign_id"], set()), cases)) for row in campaigns}
    return [
        Member(row["account_id"], row["campaign_id"], facts[row["campaign_id"]], of_account(row, last))
        for row in held
        if row["campaign_id"] in facts
    ]


def joined(made: Iterable[tuple[str, str, float, Sequence[str], float]], held: Iterable[Member]) -> list[Member]:
    """Accounts that joined confirmed groups since their scan: account, group, posterior, families, share of the list.

    held: the members of the scan. What a condition asks and only a scan tells is not known of them.
    """
    campaigns = {one.group: one.campaign for one in held}
    known = {one.account for one in held}
    return [
        Member(
            account,
            group,
            campaigns[group],
            {
                "membership": posterior,
                "role": "fringe",
                "harvested_share": share,
                "age_days": None,
                "banned_before": None,
            },
            f"growth p={posterior:.4f} {','.join(families)}",
        )
        for account, group, posterior, families, share in made
        if account not in known and group in campaigns and campaigns[group]["ruling"] == CONFIRMED
    ]


def slices(attributes: Rows, evidence: Rows) -> dict[str, list[str]]:
    """Attributes by which a gateway knows requests of a group, the heaviest first. Both are rows of those tables.

    Only those of content, that no trusted account carries: what honest customers ask too is never throttled.
    """
    content = {row["signal"] for row in evidence if row["family"] == CONTENT}
    found: dict[str, list[str]] = {}
    for row in sorted(attributes, key=lambda row: (-(row["weight"] or 0.0), row["signal"], row["attribute"])):
        if row["signal"] in content and row["trusted"] == 0:
            found.setdefault(row["campaign_id"], []).append(f"{row['signal']}:{row['attribute']}")
    return found


def _ruling(accounts: set[str], cases: Iterable[Ruled]) -> str:
    shared = [(len(accounts & one.accounts), one.ruling) for one in cases]
    most, ruling = max(shared, default=(0, ""), key=lambda one: one[0])
    return ruling if accounts and most >= SAME * len(accounts) else ""
