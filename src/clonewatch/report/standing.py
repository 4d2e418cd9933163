"""The figures beside a verdict, in words: distance to the threshold, calibration, stability, time of first sight."""

from collections.abc import Mapping
from typing import Any

from clonewatch.report.numerals import amount, count, minute, number, share

# At this threshold ratio every criterion is just met.
THRESHOLD = 1.0


def verdict(row: Mapping[str, Any]) -> str:
    """Why the group is flagged, or what it lacks; empty for scans that recorded no threshold ratio.

    row: a row of the campaigns table.

    >>> verdict({"flagged": False, "threshold_ratio": 0.4})
    'Its limiting criterion reaches 0.4 of its threshold: not flagged.'
    """
    threshold_ratio = row.get("threshold_ratio")
    if threshold_ratio is None:
        return ""
    if row["flagged"]:
        return (
            f"Its limiting criterion reaches {number(threshold_ratio)} times its threshold. The flag also survives the"
            " bound on false discoveries among all linked groups of the scan."
        )
    if threshold_ratio >= THRESHOLD:
        return (
            f"Its limiting criterion reaches {number(threshold_ratio)} times its threshold. It is still not flagged:"
            " calibration groups get this far too often, given how many linked groups this scan holds."
        )
    if threshold_ratio <= 0:
        # Such threshold ratios order groups by their evidence; as a distance to the threshold they mean nothing.
        return "One of its criteria is not met at all: not flagged."
    return f"Its limiting criterion reaches {number(threshold_ratio)} of its threshold: not flagged."


def honest(row: Mapping[str, Any]) -> str:
    """How calibration groups compare; never a p-value without its n.

    >>> honest({"p_value": 0.005, "p_n": 199, "e_value": 200.0})
    'p = 0.005, n = 199: the share of linked groups in honest logs that come this close to the threshold. E-value 200.'
    """
    if row.get("p_value") is None or not row.get("p_n"):
        return "There were no calibration groups to compare it with, so there is no p-value."
    value = row.get("e_value")
    return (
        f"p = {number(row['p_value'])}, n = {count(row['p_n'])}: the share of linked groups in honest logs that come"
        f" this close to the threshold.{'' if value is None else f' E-value {number(value)}.'}"
    )


def steady(row: Mapping[str, Any]) -> str:
    """How far the group depends on the seed of the clustering; empty where that was not recorded.

    >>> steady({"stability": 0.953})
    'Its mean overlap (Jaccard) with clusterings by other seeds is 0.95.'
    """
    overlap = row.get("stability")
    if overlap is None:
        return ""
    return f"Its mean overlap (Jaccard) with clusterings by other seeds is {number(overlap)}."


def merged(row: Mapping[str, Any]) -> str:
    """What the group was merged from; empty for a group that was found as one cluster.

    >>> merged({"sub_clusters": 4, "merge_p_value": 0.003})[:55]
    'Merged from 4 clusters without a shared attribute, beca'
    """
    parts = row.get("sub_clusters")
    if parts is None or parts < 2:
        return ""
    return (
        f"Merged from {count(parts)} clusters without a shared attribute, because they work one list: they share more"
        " topics than the background does, and ask too few questions twice. Weakest merge:"
        f" p = {number(row.get('merge_p_value'))}, corrected for all pairs tried."
    )


def seen(row: Mapping[str, Any]) -> str:
    """Since when it could be seen, and whether that was found by earlier scans or estimated; empty if unknown.

    >>> row = {"visible_ts": "2026-04-28T14:00:00Z", "visible_exchanges": 1, "harvested_exchanges": 8}
    >>> seen(row | {"visible_is_first_flag": True}).partition(";")[0]
    'A scan would first have flagged it on 28 April 2026, 14:00 UTC'
    >>> seen(row)[:51]
    'There was enough to test from 28 April 2026, 14:00 '
    """
    if row.get("visible_ts") is None:
        return ""
    when, gone, all_ = minute(row["visible_ts"]), row.get("visible_exchanges"), row.get("harvested_exchanges")
    leaked = f"{count(gone)} of {amount(all_, 'attributed exchange')} ({share(gone, all_)}) had been answered by then."
    if row.get("visible_is_first_flag"):
        return f"A scan would first have flagged it on {when}; {leaked}"
    rest = leaked if row.get("flagged", True) else "nothing is attributed to a group that is not flagged."
    return f"There was enough to test from {when}, an estimate by counts; {rest}"
