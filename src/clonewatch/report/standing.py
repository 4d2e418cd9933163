"""The figures beside a verdict, in words: how far past the line, what calibration groups do, how steady, since when."""

from collections.abc import Mapping
from typing import Any

from clonewatch.report.numerals import amount, count, minute, number, share

# The limiting criterion of a verdict at this threshold ratio is just open.
THRESHOLD = 1.0


def verdict(row: Mapping[str, Any]) -> str:
    """How the flag came about, or what is lacking; empty for scans that recorded no threshold ratio.

    row: a row of the campaigns table.

    >>> verdict({"flagged": False, "threshold_ratio": 0.4})
    'Its limiting criterion stands at 0.4, where 1 is the line: not flagged.'
    """
    threshold_ratio = row.get("threshold_ratio")
    if threshold_ratio is None:
        return ""
    if row["flagged"]:
        return (
            f"Its limiting criterion stands at {number(threshold_ratio)}, where 1 is the line. The flag"
            " stays when false discoveries"
            " among all linked groups of the scan are bounded."
        )
    if threshold_ratio >= THRESHOLD:
        return (
            f"Its limiting criterion stands at {number(threshold_ratio)}, beyond the threshold at 1. It is"
            " not flagged all the same: honest"
            " groups get there too often, for as many linked groups as this scan holds."
        )
    if threshold_ratio <= 0:
        # Such threshold ratios order groups by their evidence; as a distance to the threshold they mean nothing.
        return "One of its criteria is quite shut: not flagged."
    return f"Its limiting criterion stands at {number(threshold_ratio)}, where 1 is the line: not flagged."


def honest(row: Mapping[str, Any]) -> str:
    """How calibration groups compare; never a p-value without its n.

    >>> honest({"p_value": 0.005, "p_n": 199, "e_value": 200.0})
    'p = 0.005, n = 199: so often do linked groups of honest logs come this close to the threshold. E-value 200.'
    """
    if row.get("p_value") is None or not row.get("p_n"):
        return "It was compared with no calibration groups: no p-value."
    value = row.get("e_value")
    return (
        f"p = {number(row['p_value'])}, n = {count(row['p_n'])}: so often do linked groups of honest logs come this"
        f" close to the threshold.{'' if value is None else f' E-value {number(value)}.'}"
    )


def steady(row: Mapping[str, Any]) -> str:
    """How far the group depends on the seed of the clustering; empty where that was not recorded.

    >>> steady({"stability": 0.953})
    'Clusterings with other seeds overlap with it by 0.95 of 1 on average.'
    """
    overlap = row.get("stability")
    if overlap is None:
        return ""
    return f"Clusterings with other seeds overlap with it by {number(overlap)} of 1 on average."


def joined(row: Mapping[str, Any]) -> str:
    """What the group was joined from; empty for a group that was found in one piece.

    >>> joined({"sub_clusters": 4, "merge_p_value": 0.003})[:52]
    'Joined from 4 groups that share no attribute, because th'
    """
    parts = row.get("sub_clusters")
    if parts is None or parts < 2:
        return ""
    return (
        f"Joined from {count(parts)} groups that share no attribute, because they work one list: topics in"
        " common beyond"
        f" everybody's, and too few questions asked twice. Weakest join: p ="
        f" {number(row.get('merge_p_value'))}, corrected"
        " for all pairs tried."
    )


def seen(row: Mapping[str, Any]) -> str:
    """Since when it could be seen, and whether that is a scan looked back to or an estimate; empty if unknown.

    >>> row = {"visible_ts": "2026-04-28T14:00:00Z", "visible_exchanges": 1, "harvested_exchanges": 8}
    >>> seen(row | {"replayed": True}).partition(";")[0]
    'A scan would first have flagged it on 28 April 2026, 14:00 UTC'
    >>> seen(row)[:51]
    'There was enough to test from 28 April 2026, 14:00 '
    """
    if row.get("visible_ts") is None:
        return ""
    when, gone, all_ = minute(row["visible_ts"]), row.get("visible_exchanges"), row.get("harvested_exchanges")
    leaked = f"{count(gone)} of {amount(all_, 'attributed exchange')} ({share(gone, all_)}) had been answered by then."
    if row.get("replayed"):
        return f"A scan would first have flagged it on {when}; {leaked}"
    told = leaked if row.get("flagged", True) else "nothing is attributed to a group that is not flagged."
    return f"There was enough to test from {when}, an estimate by counts; {told}"
