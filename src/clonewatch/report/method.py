"""What surrounds the campaigns: the answer in one sentence, how the log was read, and what could not be seen."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

from clonewatch.ports.signal import Card
from clonewatch.report.cards import Cards
from clonewatch.report.numerals import amount, count, day, instant, minute, number, visible
from clonewatch.report.phrases import accounts_of, plain, signal
from clonewatch.report.standing import outcome, withheld


class Answer(NamedTuple):
    """The sentence a reader came for, one that limits it, and the figures below it with definitions."""

    sentence: str
    bound: str
    figures: list[tuple[str, str, str]]


class Used(NamedTuple):
    """A signal in this scan: whether it could work, and what was missing for it."""

    name: str
    title: str
    kind: str
    family: str
    used: bool
    missing: list[str]
    attributes: int | None
    card: Card | None


class Chance(NamedTuple):
    """What a signal found beside what chance leaves: its columns in words, and the figures row by row."""

    title: str
    caption: str
    columns: list[str]
    rows: list[list[str]]


class Method(NamedTuple):
    """The part of a report that lets a stranger check it."""

    window: str
    version: str
    trusted: str
    has_trusted: bool
    calibration: str
    families: str
    simulated: bool
    seeds: int | None
    counts: list[tuple[str, str, str]]
    rejected: int
    dropped: list[tuple[str, str, str]]
    inputs: list[Mapping[str, Any]]
    more_inputs: Mapping[str, Any]
    on: list[Used]
    off: list[Used]
    chance: list[Chance]
    stages: list[Mapping[str, Any]]
    peak: str
    thresholds: list[tuple[str, str]]
    calibrated: list[tuple[str, str]]
    settings: list[tuple[str, str]]
    versions: list[tuple[str, str]]
    warnings: list[str]


# Groups for review that the headline names; the list has all of them.
REVIEW_NAMED = 3
REVIEW_MEANS = (
    "A group for review has too little evidence for a flag and too much to be ignored: look at it, and answer its "
    "question."
)
_COUNTS = (
    ("read", "exchanges read", "rows that are exchanges, before repeats are merged"),
    ("rejected", "rejected", "further rows that are no exchange; each is in rejected.ndjson with file, row and reason"),
    ("duplicate", "repeats", "rows of an exchange that another row is about too; merged into it, column by column"),
    (
        "shared_id",
        "rows with a shared id",
        "their id belongs to several accounts, times or prompts; kept, told apart without it",
    ),
    ("kept", "exchanges kept", "what everything below is computed from"),
    ("accounts", "accounts", "distinct account ids among the exchanges kept"),
    ("entities", "entities", "accounts under one declared organisation count as one"),
    ("trusted", "trusted entities", "aged, verified, long-paid or under contract: the reference for what is common"),
)
_FAMILIES = {"2": "two", "3": "three"}
_TRUSTED = {
    "declared": "The provider declared which accounts are trusted.",
    "behaviour": "No trusted accounts were declared, so accounts that work in bursts, as people do, were used instead: "
    "more evidence was required.",
    "none": "There were no trusted accounts. Nothing separates what a campaign shares from what is merely popular, "
    "so the links below are weaker than usual.",
}


def answer(rows: list[dict[str, Any]], members: tuple[int, int] | None) -> Answer:
    """The headline of a scan. rows: of `campaigns`, first to look at first.

    members: distinct accounts that act in the flagged campaigns, and bystanders; None to add up what campaigns state.
    """
    flagged, review, listed = ([r for r in rows if outcome(r) == which] for which in ("flagged", "review", "listed"))
    if not flagged:
        return Answer(f"Nothing was flagged.{_for_review(review)}{_ruled(listed)}", _bound(review, listed), [])
    accounts, bystanders = members if members is not None else (sum(row["accounts"] or 0 for row in flagged), None)
    harvested = sum(row["harvested_exchanges"] or 0 for row in flagged)
    starts = [m for row in flagged if (m := instant(row["first_ts"]))]
    ends = [m for row in flagged if (m := instant(row["last_ts"]))]
    one = len(flagged) == 1
    sentence = (
        f"{amount(len(flagged), 'campaign')} flagged: {accounts_of(accounts)} "
        f"{'act as one operator' if one else f'act as {count(len(flagged))} operators'}; "
        f"{amount(harvested, 'exchange')} attributed{_between(starts, ends)}.{_for_review(review)}{_ruled(listed)}"
    )
    bound = (
        "A campaign is flagged when independent families of evidence agree and the accounts are covertly linked. "
        "The report says what was done, not who did it or why." + (f" {REVIEW_MEANS}" if review else "")
    )
    everything = sum(row["exchanges"] or 0 for row in flagged)
    return Answer(
        sentence,
        bound,
        [
            (
                count(len(flagged)),
                "campaigns flagged",
                "groups of accounts that meet all four criteria and survive the bound on false discoveries",
            ),
            (
                count(accounts),
                "acting accounts",
                "distinct accounts in the flagged campaigns"
                + (f"; {amount(bystanders, 'bystander')} on the same route not counted" if bystanders else ""),
            ),
            (
                count(harvested),
                "exchanges attributed",
                "requests more likely than not (posterior 0.5 or more) part of a campaign",
            ),
            (
                count(everything),
                "exchanges of the members",
                "all requests of those accounts in the window; the rest is not attributed",
            ),
        ],
    )


def _for_review(review: list[dict[str, Any]]) -> str:
    """How many groups are for review, and which; empty for none.

    >>> _for_review([{"campaign_id": "C0002", "accounts": 36}])
    ' 1 group is for review: C0002 (36 accounts).'
    """
    if not review:
        return ""
    return f" {amount(len(review), 'group')} {'is' if len(review) == 1 else 'are'} for review: {_named(review)}."


def _ruled(listed: list[dict[str, Any]]) -> str:
    """How many groups a ruling keeps from being flagged or for review, and which; empty for none.

    >>> _ruled([{"campaign_id": "C0001", "accounts": 18, "ruled": [{"withholds": True}]}])
    ' 1 group stays innocent, as ruled: C0001 (18 accounts).'
    """
    rows = [row for row in listed if withheld(row)]
    if not rows:
        return ""
    return f" {amount(len(rows), 'group')} {'stays' if len(rows) == 1 else 'stay'} innocent, as ruled: {_named(rows)}."


def _named(rows: list[dict[str, Any]]) -> str:
    named = [f"{visible(r['campaign_id'], 24)} ({amount(r['accounts'], 'account')})" for r in rows[:REVIEW_NAMED]]
    left = len(rows) - len(named)
    return f"{', '.join(named)}{f' and {count(left)} more' if left else ''}"


def _bound(review: list[dict[str, Any]], listed: list[dict[str, Any]]) -> str:
    """What limits the answer of a scan that flagged nothing."""
    said = [REVIEW_MEANS] if review else []
    if listed:
        many = f"{amount(len(listed), 'more group' if review else 'group')} of accounts"
        said.append(
            f"{many} {'is' if len(listed) == 1 else 'are'} linked by rare things in common, but the evidence does not"
            " reach the threshold for a flag."
        )
    elif not review:
        said.append("No group of unrelated accounts was found to share rare things in a way that calls for a test.")
    said.append("This is no proof of absence: it covers only what the signals that worked can see in this log.")
    return " ".join(said)


def _between(starts: list[datetime], ends: list[datetime]) -> str:
    return f", between {day(min(starts))} and {day(max(ends))}" if starts and ends else ""


def gather(summary: Mapping[str, Any], cards: Cards) -> Method:
    """The method part of a report from the summary of a scan; whatever the summary lacks is shown as unknown."""
    window, counts, trusted = (summary.get(k) or {} for k in ("window", "counts", "trust"))
    used = [_used(entry, cards) for entry in summary.get("signals") or []]
    first, last = window.get("first"), window.get("last")
    share = trusted.get("share")
    source = str(trusted.get("source") or "unknown")
    own = bool((summary.get("settings") or {}).get("calibration"))
    return Method(
        window=f"{minute(first)} to {minute(last)}" if first and last else "not recorded",
        version=visible(summary.get("version")),
        trusted=_TRUSTED.get(source, "Where the trusted accounts came from was not recorded.")
        + (f" They are {100 * share:.3g} % of all entities." if share else ""),
        has_trusted=source in ("declared", "behaviour"),
        calibration=_calibration(summary.get("calibration") or {}, own) + _bounded(summary.get("thresholds") or {}),
        families=_FAMILIES.get(str((summary.get("thresholds") or {}).get("families")), "several"),
        simulated=not own,
        seeds=summary.get("clustering_seeds"),
        counts=[(count(counts.get(key)), name, said) for key, name, said in _COUNTS],
        rejected=counts.get("rejected") or 0,
        dropped=[
            (visible(one.get("column"), 60), count(one.get("values")), visible(one.get("reason"), 200))
            for one in summary.get("dropped_values") or []
        ],
        inputs=[
            {k: entry.get(k) for k in ("path", "bytes", "sha256", "format", "read", "rejected")}
            for entry in summary.get("inputs") or []
        ],
        more_inputs=summary.get("more_inputs") or {},
        on=[known for known in used if known.used],
        off=[known for known in used if not known.used],
        chance=[c for entry in summary.get("chance") or [] if (c := _chance(entry, cards))],
        stages=[
            {k: entry.get(k) for k in ("name", "seconds", "cpu_seconds", "rows", "bytes")}
            for entry in summary.get("stages") or []
        ],
        peak=number(summary.get("peak_memory_mb")),
        thresholds=_pairs(summary.get("thresholds")),
        calibrated=_pairs(summary.get("calibration")),
        settings=_settings(summary),
        versions=_pairs(summary.get("versions")),
        warnings=[visible(w, 400) for w in summary.get("warnings") or []],
    )


def _calibration(found: Mapping[str, Any], own: bool) -> str:
    """Which calibration groups stand behind the p-values. own: the provider gave a calibration."""
    if not found.get("groups"):
        return "No calibration groups are on record, so no p-value can be given."
    beyond = found.get("beyond_threshold")
    said = (
        f"A p-value counts the linked groups of honest logs that come as close to the threshold, among"
        f" {amount(found['groups'], 'group')} ({visible(found.get('source'), 120)})"
        + ("" if beyond is None else f", of which {count(beyond)} lie beyond the threshold")
        + ". "
    )
    if own:
        return said + "They come from the provider's own quiet period, which was taken as honest and not checked."
    return said + (
        "They ship with the program and are simulated. It has not been shown that honest groups of this log resemble"
        " them: `clonewatch calibrate` learns from your own quiet period."
    )


def _bounded(thresholds: Mapping[str, Any]) -> str:
    """How many of the flags may be false, if honest groups of this log are like those behind the p-values."""
    rate = thresholds.get("false_discoveries")
    if not isinstance(rate, float):
        return ""
    return f" If they are alike, at most {100 * rate:.3g} % of the flags of a scan are false on average."


def _used(entry: Mapping[str, Any], cards: Cards) -> Used:
    name = str(entry.get("name"))
    known = cards.find(name)
    return Used(
        name=name,
        title=known.card.title if known else signal(name),
        kind=str(entry.get("kind") or (known.kind if known else "")),
        family=plain(entry.get("family") or (known.card.family if known else None)),
        used=bool(entry.get("used")),
        missing=[visible(m) for m in entry.get("missing") or []],
        attributes=entry.get("attributes"),
        card=known.card if known else None,
    )


def _chance(entry: Mapping[str, Any], cards: Cards) -> Chance | None:
    """A chance model's rows in words; None where it found nothing."""
    rows = entry.get("rows") or []
    if not rows:
        return None
    known = cards.find(entry.get("signal"))
    return Chance(
        known.card.title if known else signal(entry.get("signal")),
        visible(entry.get("caption"), 400),
        [plain(name) for name in rows[0]],
        [[number(value) for value in row.values()] for row in rows],
    )


def _settings(summary: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What the scan was asked for; of accounts and events that nobody named, the files that were found and used."""
    used = {
        side: [str(entry.get("path")) for entry in summary.get("inputs") or [] if _of_side(entry, side)]
        for side in ("accounts", "events")
    }
    found = {side: f"not set; found beside the exchanges: {_said(files)}" for side, files in used.items() if files}
    return [
        (name, found.get(name, said) if said == "not set" else said) for name, said in _pairs(summary.get("settings"))
    ]


def _of_side(entry: Mapping[str, Any], side: str) -> bool:
    return str(entry.get("format")).startswith(f"{side} (")


def _said(value: object) -> str:
    """A value of a summary: numbers short, lists in a row."""
    if isinstance(value, float):
        return number(value)
    return ", ".join(visible(v) for v in value) if isinstance(value, list | tuple) else visible(value, 200)


def _pairs(found: Mapping[str, Any] | None) -> list[tuple[str, str]]:
    """Names and values in name order, nested ones joined by a dot."""
    pairs: list[tuple[str, str]] = []
    for key, value in sorted((found or {}).items()):
        if isinstance(value, Mapping):
            pairs += [(f"{visible(key)}.{inner}", said) for inner, said in _pairs(value)]
        else:
            pairs.append((visible(key), "not set" if value is None else _said(value)))
    return pairs
