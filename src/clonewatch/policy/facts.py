"""The facts that a condition may use, the facts that it may not, and why not."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

# What a condition can ask of a group of a scan, and of one of its accounts. Null where it is not known.
CAMPAIGN = {
    "outcome": "flagged, review or listed",
    "level": "L0, L1, L2 or L3 of the evidence ladder",
    "odds_bits": "log2 of the posterior odds that one operator covertly runs it",
    "evidence_odds_bits": "the same on the evidence alone",
    "score": "families of tests added up, in bits",
    "threshold_ratio": "smallest ratio of a criterion of the verdict to its threshold",
    "p_value": "how often groups of honest logs come this close to the threshold",
    "stability": "mean overlap with the nearest group under other clustering seeds, 0 to 1",
    "families": "list of the families of evidence that count",
    "look_alike": "innocent case that it resembles; empty for none",
    "ruling": "confirmed, innocent, needs_more, or empty where nobody ruled",
}
ACCOUNT = {
    "membership": "0 to 1",
    "role": "core or fringe",
    "harvested_share": "share of its exchanges that is attributed to the campaign, 0 to 1",
    "age_days": "days from sign-up to the end of the scan's window",
    "banned_before": "whether it was banned before",
}
# Facts of the kinds that they have, to try a condition on.
SAMPLE_CAMPAIGN: Mapping[str, Any] = {
    "outcome": "flagged",
    "level": "L3",
    "odds_bits": 8.0,
    "evidence_odds_bits": 8.0,
    "score": 20.0,
    "threshold_ratio": 1.5,
    "p_value": 0.01,
    "stability": 1.0,
    "families": ["harvest", "load", "payment"],
    "look_alike": "",
    "ruling": "",
}
SAMPLE_ACCOUNT: Mapping[str, Any] = {
    "membership": 0.9,
    "role": "core",
    "harvested_share": 0.9,
    "age_days": 30.0,
    "banned_before": False,
}
FACTS: Mapping[str, Mapping[str, str]] = {"campaign": CAMPAIGN, "account": ACCOUNT}

_VOLUME = (
    "volume is no evidence: busy honest customers have as much of it as campaigns, and thin pools have little. Use"
    " campaign.odds_bits, or account.harvested_share"
)
_COUNTRY = (
    "where somebody lives, pays or connects from, or which language they write, is no evidence of a campaign, and"
    " treating people by it is discrimination. Use what was found, such as campaign.families"
)
_NAME = (
    "a rule about somebody by name is no policy: the same conduct is treated alike, whoever it is. Rule on the case"
    " instead: clonewatch cases rule"
)
# Parts of names by which a refused fact is recognised, with the reason that is given.
REFUSED = {
    **dict.fromkeys(
        ("accounts", "exchanges", "requests", "tokens", "volume", "rate", "calls", "spend", "usage", "count", "size"),
        _VOLUME,
    ),
    **dict.fromkeys(
        ("country", "region", "nation", "nationality", "language", "locale", "timezone", "egress", "asn", "ip", "vpn"),
        _COUNTRY,
    ),
    **dict.fromkeys(
        ("name", "customer", "org", "organisation", "organization", "company", "email", "domain", "id", "key"), _NAME
    ),
}


def refusal(fact: str) -> str:
    """Why a fact may not be used, from the words of its name; empty where that is not known.

    >>> refusal("billing_country").partition(",")[0]
    'where somebody lives'
    """
    return next((REFUSED[word] for word in fact.lower().split("_") if word in REFUSED), "")


def of_group(row: Mapping[str, Any], ruling: str = "") -> dict[str, Any]:
    """The facts of a group from its row of table `campaigns`. ruling: of its case, if there is one."""
    held = {name: row.get(name) for name in CAMPAIGN if name not in ("families", "look_alike", "ruling")}
    ruled = [one["ruling"] for one in row.get("ruled") or () if one.get("ruling")]
    return {
        **held,
        "families": sorted(row.get("families") or ()),
        "look_alike": row.get("look_alike") or "",
        "ruling": ruling or (ruled[-1] if ruled else ""),
    }


def of_account(row: Mapping[str, Any], last: datetime | None) -> dict[str, Any]:
    """The facts of an account from its row of table `members`. last: the end of the scan's window."""
    exchanges, created = row.get("exchanges"), row.get("created_ts")
    return {
        "membership": row.get("membership"),
        "role": row.get("role"),
        "harvested_share": (row.get("harvested_exchanges") or 0) / exchanges if exchanges else None,
        "age_days": (last - created).total_seconds() / 86_400 if last and created else None,
        "banned_before": row.get("banned_ts") is not None,
    }
