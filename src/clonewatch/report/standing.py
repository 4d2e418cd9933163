"""The figures beside a verdict, in words: distance to the threshold, calibration, stability, time of first sight."""

from collections.abc import Mapping
from typing import Any

from clonewatch.model.criteria import CRITERIA, OTHER_KIND, WRONG_KIND
from clonewatch.model.questions import BY_ID
from clonewatch.report.numerals import amount, count, day, minute, number, share, visible

# At this threshold ratio every criterion is just met.
THRESHOLD = 1.0
# Odds beyond about a million to one are not written out: no log is that sure.
MOST_ODDS_BITS = 20.0


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
    if threshold_ratio >= THRESHOLD and withheld(row):
        return (
            f"Its limiting criterion reaches {number(threshold_ratio)} times its threshold. It is not flagged, because"
            " it was ruled innocent and there is no more evidence than there was then."
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


def outcome(row: Mapping[str, Any]) -> str:
    """What the group is to a reader: flagged, review or listed. Scans that recorded none know flagged and listed.

    >>> outcome({"flagged": False}), outcome({"flagged": False, "outcome": "review"})
    ('listed', 'review')
    """
    return row.get("outcome") or ("flagged" if row["flagged"] else "listed")


def missing(row: Mapping[str, Any]) -> str:
    """Which criterion keeps a group from a flag, how far it is from its threshold, and what would have to show.

    Empty for a flagged group, one that meets all criteria, and scans that recorded no criterion.

    >>> row = {"flagged": False, "limiting_criterion": "sum_of_families", "limiting_ratio": 0.5}
    >>> missing(row)[:86]
    'Missing: sum of families (all families of tests together, less what speaks against) re'
    """
    criterion, ratio = CRITERIA.get(row.get("limiting_criterion") or ""), row.get("limiting_ratio")
    if row["flagged"] or criterion is None or ratio is None or ratio >= THRESHOLD:
        return ""
    head = f"Missing: {criterion.title} ({criterion.holds})"
    if criterion.name == "linkage" and ratio == WRONG_KIND:
        return f"{head} is of the wrong kind. It takes {OTHER_KIND}."
    if not criterion.threshold:
        reached = "does not show at all" if ratio <= 0 else f"reaches {number(ratio)} of its threshold"
        return f"{head} {reached}. It takes {criterion.more}."
    value = ratio * criterion.threshold
    return (
        f"{head} reaches {number(value)} of {number(criterion.threshold)} bits. It takes"
        f" {number(criterion.threshold - value)} bits more: {criterion.more}."
    )


def odds(row: Mapping[str, Any]) -> str:
    """The posterior odds in words, with what moved them; empty for scans that recorded none.

    >>> odds({"odds_bits": 3.0})[:51]
    'Odds of 8 to 1 that one operator runs it covertly, '
    >>> odds({"odds_bits": -2.0, "look_alike": "class_or_event"})[:9]
    'Odds of 1'
    """
    bits = row.get("odds_bits")
    if bits is None:
        return ""
    # Evidence is capped, and nobody believes a million to one from a log.
    factor = number(2.0 ** min(abs(bits), MOST_ODDS_BITS))
    said = (
        f"Odds of {f'{factor} to 1' if bits >= 0 else f'1 to {factor}'} that one operator runs it covertly, with"
        " prior odds of 1 to 16 (one linked group in 17). They put groups in order and prove nothing about one."
    )
    like = BY_ID.get(row.get("look_alike") or "")
    if like:
        said += f" It stands lower because it looks like a common innocent case; the question about it is: {like.asks}"
    return said


def question(row: Mapping[str, Any]) -> str:
    """The question that would settle a group for review, with what each answer means; empty where there is none."""
    asked = BY_ID.get(row.get("question") or "")
    if asked is None:
        return (
            "" if outcome(row) != "review" else "No innocent explanation is left to ask about: look at its exchanges."
        )
    return f"{asked.asks} Yes: {asked.yes} No: {asked.no}"


def answered(row: Mapping[str, Any]) -> list[str]:
    """Which answers moved its odds.

    >>> given = {"question": "app_users", "yes": True, "bits": -5.0, "at": "2026-05-01T09:00:00Z", "by": "ana"}
    >>> answered({"answered": [given]})  # doctest: +ELLIPSIS
    ['Answered yes by ana on 1 May 2026, which moves its odds by -5 bits: Are these the users of ...that you know?']
    """
    said = []
    for given in row.get("answered") or ():
        asked = BY_ID.get(given["question"])
        who = f" by {visible(given['by'], 60)}" if given.get("by") else ""
        when = f" on {day(given['at'])}" if given.get("at") else ""
        note = f" Note: {visible(given['note'], 300)}" if given.get("note") else ""
        moved = f"{given['bits']:+g} bit{'' if abs(given['bits']) == 1 else 's'}"
        what = asked.asks if asked else visible(given["question"], 60)
        said.append(
            f"Answered {'yes' if given['yes'] else 'no'}{who}{when}, which moves its odds by {moved}: {what}{note}"
        )
    return said


def looked_at(row: Mapping[str, Any]) -> list[str]:
    """What decides whether to look at a group; of a flagged one only the answers that were given."""
    said = [] if row["flagged"] else [odds(row), missing(row)]
    return [sentence for sentence in (*said, *ruled(row), *answered(row)) if sentence]


def withheld(row: Mapping[str, Any]) -> bool:
    """Whether a ruling keeps the group from being flagged or for review."""
    return any(ruling["withholds"] for ruling in row.get("ruled") or ())


def ruled(row: Mapping[str, Any]) -> list[str]:
    """What was ruled about the group, and what that means for it now.

    >>> given = {"ruling": "innocent", "question": "one_customer", "case": "K0001", "scope": "evidence", "until": ""}
    >>> given |= {"at": "2026-05-01T09:00:00Z", "by": "ana", "note": "", "withholds": False, "news": ["a family"]}
    >>> ruled({"ruled": [given]})[0].partition(": Are")[0]
    'Ruled innocent by ana on 1 May 2026, case K0001'
    >>> ruled({"ruled": [given]})[0].partition("Yes. ")[2]
    'This is more than was ruled on: a family.'
    """
    said = []
    for given in row.get("ruled") or ():
        asked = BY_ID.get(given["question"])
        who = f" by {visible(given['by'], 60)}" if given.get("by") else ""
        when = f" on {day(given['at'])}" if given.get("at") else ""
        case = f", case {visible(given['case'], 60)}" if given.get("case") else ""
        what = f": {asked.asks} Yes." if asked else "."
        until = f" It holds until {day(given['until'])}." if given.get("until") else ""
        note = f" Note: {visible(given['note'], 300)}" if given.get("note") else ""
        said.append(f"Ruled {given['ruling']}{who}{when}{case}{what}{until}{_meaning(given)}{note}")
    return said


def _meaning(given: Mapping[str, Any]) -> str:
    if given["ruling"] != "innocent":
        return " That flags nothing by itself."
    if given["news"]:
        return f" This is more than was ruled on: {'; '.join(given['news'])}."
    moved = f" That moves its odds by {given['bits']:+g} bits." if given.get("bits") else ""
    if given["scope"] == "accounts":
        return f" While it holds, these accounts are neither flagged nor for review, whatever they do.{moved}"
    return f" The evidence is no more than was ruled on, so it is neither flagged nor for review.{moved}"


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


def told_apart(row: Mapping[str, Any]) -> str:
    """How its exchanges were told apart where no content of its own does that; empty elsewhere and without a flag.

    >>> told_apart({"flagged": True, "attributed_by": "accounts"}).partition(",")[0]
    'Nothing tells exchanges of these accounts apart'
    """
    if not row.get("flagged"):
        return ""
    if row.get("attributed_by") == "accounts":
        return (
            "Nothing tells exchanges of these accounts apart, so all are attributed: if the accounts also serve"
            " customers, the customers' exchanges are among them."
        )
    if row.get("attributed_by") == "shape":
        return "No content of its own selects its exchanges: those that ask as harvests do are attributed."
    return ""


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
