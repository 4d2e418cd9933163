"""The page of one account: why it is in a group, why perhaps not, how mixed its traffic is, and what became of it."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any, NamedTuple

from clonewatch.model import schema
from clonewatch.report import phrases, standing
from clonewatch.report.chapters import chapters
from clonewatch.report.numerals import amount, count, day, number, share
from clonewatch.report.reasons import Reason
from clonewatch.service.views.alike import Attribute, carried, shared
from clonewatch.service.views.results import Result, cards

# Below this share of attributed exchanges most of what an account does is something else.
_MIXED = 0.5
# So many are compared with a mistyped id.
_COMPARED = 200_000


class Why(NamedTuple):
    """One kind of shared thing: its strongest attribute in a sentence, and all of that kind, strongest first."""

    said: str
    attributes: list[Attribute]


class Place(NamedTuple):
    """One group that an account is in. against: sentences. rest: exchanges that are not attributed."""

    group: dict[str, Any]
    outcome: str
    title: str
    member: dict[str, Any]
    role: phrases.Role
    level: phrases.Level
    said: str
    why: list[Why]
    shared: int
    against: list[str]
    evidence: list[Reason]
    attributed: int
    rest: int | None
    events: list[tuple[str, Any, str]]


class Account(NamedTuple):
    """An account as its page shows it. near: ids like it that are in a group, where it is in none."""

    account: str
    places: list[Place]
    near: list[str]


def account(result: Result, name: str) -> Account:
    """The page of an account; without places where it is in no group."""
    mine = result.table(schema.MEMBERS, account_id=name).to_pylist()
    known = {row["campaign_id"]: row for row in result.rows}
    places = [
        _place(result, name, member, known[member["campaign_id"]]) for member in mine if member["campaign_id"] in known
    ]
    places.sort(key=lambda place: place.group["rank"] or 0)
    return Account(name, places, [] if places else _near(result, name))


def _near(result: Result, name: str) -> list[str]:
    held = result.table(schema.MEMBERS, ("account_id",))["account_id"].slice(0, _COMPARED).to_pylist()
    return get_close_matches(name[:200], sorted({one for one in held if one}), n=5, cutoff=0.8)


def _place(result: Result, name: str, member: dict[str, Any], row: dict[str, Any]) -> Place:
    group = row["campaign_id"]
    flagged = bool(row["flagged"])
    mine, common = carried(shared(result, group), name)
    evidence = {schema.EVIDENCE.name: result.table(schema.EVIDENCE, campaign_id=group)}
    (chapter,) = chapters(evidence, [row], cards())
    attributed = member["harvested_exchanges"] or 0
    exchanges = member["exchanges"]
    role = phrases.role(member["role"], flagged)
    return Place(
        group=row,
        outcome=standing.outcome(row),
        title=chapter.title,
        member=member,
        role=role,
        level=chapter.level,
        said=_said(row, member, role, mine),
        why=_by_kind(mine),
        shared=len(mine),
        against=_against(row, member, mine, common, chapter.against),
        evidence=chapter.evidence,
        attributed=attributed,
        rest=None if exchanges is None else max(0, exchanges - attributed),
        events=_events(member),
    )


def _said(row: dict[str, Any], member: dict[str, Any], role: phrases.Role, mine: Sequence[Attribute]) -> str:
    """The answer in one sentence."""
    kinds = list(dict.fromkeys(t.kind for t in mine))
    what = (
        f"it shares {_listed(kinds)} with other accounts of the group" if kinds else "other links tie it to the group"
    )
    does = ""
    if row["flagged"] and member["harvested_exchanges"]:
        part = share(member["harvested_exchanges"], member["exchanges"])
        does = f", and {count(member['harvested_exchanges'])} of its exchanges ({part}) fit what the group collects"
    return f"It is in {row['campaign_id']} because {what}{does}. Its role is {role.name}."


def _listed(names: list[str]) -> str:
    """A list of at most four names in words.

    >>> _listed(["payment"]), _listed(["payment", "egress"]), _listed(list("abcdef"))
    ('payment', 'payment and egress', 'a, b, c and 3 more kinds')
    """
    if len(names) > 4:
        names = [*names[:3], f"{len(names) - 3} more kinds"]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _by_kind(mine: Sequence[Attribute]) -> list[Why]:
    """What an account carries, by kind, the kind of the strongest attribute first."""
    kinds: dict[str, list[Attribute]] = {}
    for t in mine:
        kinds.setdefault(t.kind, []).append(t)
    return [Why(_why(held[0]), held) for held in kinds.values()]


def _why(t: Attribute) -> str:
    """A shared attribute in a sentence."""
    known = cards().find(t.row["signal"])
    title = known.card.title if known else phrases.signal(t.row["signal"])
    trusted = t.row["trusted"]
    whom = "no trusted one" if trusted == 0 else f"{count(trusted)} trusted" if trusted is not None else "trust unknown"
    return (
        f"{title}: {count(t.row['entities'])} in the group carry it, {count(t.row['users'])} in the whole log, {whom}"
    )


def _against(
    row: dict[str, Any],
    member: dict[str, Any],
    mine: Sequence[Attribute],
    common: Sequence[Attribute],
    against: Sequence[Reason],
) -> list[str]:
    """Why the account perhaps does not belong: what is its own, before what speaks against the whole group."""
    said = []
    if not row["flagged"]:
        said.append("The group is not flagged: its accounts are linked, and nobody is said to act for anybody.")
    if member["role"] == phrases.BYSTANDER:
        said.append("It shares a route and little else: likely a bystander. Do not act against it on this evidence.")
    if member["role"] == "fringe":
        said.append("It is fringe: mostly serves others, or clusterings with other seeds leave it out.")
    part = (member["harvested_exchanges"] or 0) / member["exchanges"] if member["exchanges"] else None
    if row["flagged"] and part is not None and part < _MIXED:
        said.append(
            f"Only {share(member['harvested_exchanges'], member['exchanges'])} of its exchanges are attributed: the"
            " rest may be an honest customer's, whose key was stolen or who resells."
        )
    if len({t.kind for t in mine}) == 1:
        said.append(f"One kind of thing alone ties it to the others on record: {mine[0].kind}.")
    if not mine:
        said.append("It carries none of the strongest shared attributes on record.")
    if common:
        kinds = list(dict.fromkeys(t.kind for t in common))
        said.append(f"It lacks {amount(len(common), 'attribute')} that most of the others carry: {_listed(kinds)}.")
    if member["unbanned_ts"] is not None:
        said.append(f"A ban of it was lifted on {day(member['unbanned_ts'])}.")
    said += [f"Against the whole group: {r.title} ({number(r.bits)} bits)." for r in against]
    return said


def _events(member: dict[str, Any]) -> list[tuple[str, Any, str]]:
    """What happened to the account, in order: what, when, and what that means."""
    known = (
        ("created_ts", "signed up", ""),
        ("first_ts", "first exchange", "in the window; it may have been there before"),
        ("last_ts", "last exchange", "in the window; it may go on after it"),
        ("banned_ts", "banned", "the first ban in the events file"),
        ("unbanned_ts", "ban lifted", ""),
    )
    found = [(what, member[name], means) for name, what, means in known if member[name] is not None]
    return sorted(found, key=lambda event: event[1])
