"""Measures against the accounts of a case: one person asks, another begins, and every holder gets a link to appeal."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from typing import NamedTuple

import msgspec
from msgspec import UNSET, UnsetType
from sqlalchemy import bindparam, func, insert, select, update

from clonewatch.cases import approvals, repeats
from clonewatch.cases.changes import Who, alive
from clonewatch.cases.measures import (
    ACTIVE,
    CLEARED,
    ENDED,
    LIVE,
    MEASURES,
    PLANNED,
    STANDING,
    Apart,
    Appeal,
    Containment,
)
from clonewatch.cases.people import digest, later
from clonewatch.cases.records import COMMAND_LINE, Entry, What, note_digest
from clonewatch.cases.store import Reading, Writing, hashed, new_note
from clonewatch.cases.tables import APPEALS, CONTAINMENTS, HOLDERS
from clonewatch.model.errors import InputError, SetupError, StaleError
from clonewatch.model.repeats import MOST_DAYS, lengthened
from clonewatch.model.same_evidence import Basis, news

MOST_ANSWER_DAYS = 30
DAYS, ANSWER_DAYS = 30, 14
# How long a holder may appeal, from the first day.
APPEAL_DAYS = 183
# What the log says of new links for all, behind the id of the containment.
EVERY_HOLDER = "all holders"
_AT_ONCE = 5_000
_TOKEN_LENGTH = 128


class Plan(NamedTuple):
    """What is asked for. ground: what the terms say that was broken. automated: whether software found and chose it."""

    measure: str
    ground: str
    days: int = DAYS
    answer_days: int = ANSWER_DAYS
    automated: bool = False


class Holder(NamedTuple):
    """An account under a containment. token_until: when its link ends. version: of its last change."""

    containment: Containment
    number: int
    account: str
    state: str
    measure: str
    version: int
    token_until: str


class Link(NamedTuple):
    """The secret of a holder's link to appeal, which is shown once: the store keeps its hash."""

    containment: str
    number: int
    account: str
    token: str


def containments(store: Reading, case: str | None = None, state: str | None = None) -> list[Containment]:
    """Containments, the newest first."""
    wanted = select(CONTAINMENTS.c.body).order_by(CONTAINMENTS.c.request.desc())
    if case is not None:
        wanted = wanted.where(CONTAINMENTS.c.case_id == case)
    if state is not None:
        wanted = wanted.where(CONTAINMENTS.c.state == state)
    return [msgspec.json.decode(body, type=Containment) for body in store.connection.execute(wanted).scalars()]


def containment(store: Reading, name: str) -> Containment:
    """One containment. Raises InputError."""
    wanted = select(CONTAINMENTS.c.body).where(CONTAINMENTS.c.containment == name.upper())
    body = store.connection.execute(wanted).scalar_one_or_none()
    if body is None:
        raise InputError(f"there is no containment {name!r}", fix="`clonewatch appeals list` lists them")
    return msgspec.json.decode(body, type=Containment)


def ask(store: Writing, case: str, plan: Plan, why: str, who: Who, version: int | None = None) -> Containment:
    """Ask a second person for a measure against all accounts of a case that was ruled confirmed.

    It stands longer than planned where earlier ones ended, and these accounts went on (`repeats.earlier`).

    Raises SetupError for a plan that cannot be, or for accounts that were cleared on this evidence; StaleError where
    the case changed since `version`.
    """
    _check(plan)
    (held,) = alive(store, [case], version)
    count = store.connection.execute(select(func.count()).select_from(CONTAINMENTS)).scalar_one()
    wanted = Containment(
        containment=f"B{count + 1:04d}",
        version=1,
        case=held.case,
        request=-1,
        accounts=held.accounts,
        size=held.size,
        measure=plan.measure,
        ground=plan.ground.strip(),
        automated=plan.automated,
        days=plan.days,
        answer_days=plan.answer_days,
        families=held.seen.families,
        odds_bits=held.seen.odds_bits,
        first=held.seen.first,
        last=held.seen.last,
        asked_by=who.by,
    )
    refuse_cleared(store, wanted)
    before = repeats.earlier(store, wanted)
    wanted = msgspec.structs.replace(wanted, days=lengthened(plan.days, len(before)))
    asked = approvals.ask(store, held.case, approvals.BLOCK, why, who)
    planned = msgspec.structs.replace(wanted, request=asked.entry)
    record(
        store,
        "plan",
        who,
        planned.case,
        held=planned,
        because=(plan.measure, f"{planned.days} days", *(f"{repeats.REPEAT}{one}" for one in before)),
    )
    return planned


def begin(store: Writing, name: str, who: Who) -> tuple[Containment, list[Link]]:
    """Approve a planned containment, unless that was done, and begin it; returns it and the links of all holders.

    Raises SetupError where the person who asked would approve, or for accounts that were cleared on this evidence
    meanwhile; StaleError where it is not planned any more, or the case is not what it was when somebody asked.
    """
    planned = containment(store, name)
    if planned.state != PLANNED:
        raise StaleError(
            f"{planned.containment} is {planned.state} since {planned.begins}, by {planned.begun_by}",
            fix="Look at it again: clonewatch appeals show",
        )
    request = approvals.request(store, planned.request)
    if request.state != approvals.APPROVED:
        request = approvals.decide(store, request.entry, approvals.APPROVED, who)
    elif not approvals.current(store, request):
        raise StaleError(
            f"{planned.case} was changed since {request.by} asked", fix="Ask again: clonewatch appeals ask"
        )
    refuse_cleared(store, planned)
    until = date.fromisoformat(who.at[:10]) + timedelta(days=planned.days)
    begun = following(planned, state=STANDING, begins=who.at, begun_by=request.decided_by, until=until.isoformat())
    record(store, "contain", who, begun.case, held=begun, because=(begun.measure, f"until {begun.until}"))
    links = _links(store, begun)
    rows = [_row(begun, link, later(who.at, timedelta(days=APPEAL_DAYS))) for link in links]
    store.connection.execute(insert(HOLDERS), rows)
    return begun, links


def end(store: Writing, name: str, why: str, who: Who) -> Containment:
    """End a containment before its last day, for all accounts. It says nothing about whether it was right."""
    held = containment(store, name)
    if held.state != STANDING:
        raise StaleError(f"{held.containment} is {held.state}", fix="Only what stands can be ended")
    if not why.strip():
        raise SetupError("the reason is missing", fix="Say why, for whoever reads the log")
    return settle(store, held, None, ENDED, "end", who, note=why)


def renew(store: Writing, name: str, account: str, who: Who) -> Link:
    """A new link for an account, in place of the old one."""
    found = holder(store, name, account)
    token = secrets.token_urlsafe(32)
    this = (HOLDERS.c.containment == found.containment.containment) & (HOLDERS.c.number == found.number)
    store.connection.execute(update(HOLDERS).where(this).values(token=digest(token)))
    because = (found.containment.containment, f"holder {found.number}")
    record(store, "renew", who, found.containment.case, because=because)
    return Link(found.containment.containment, found.number, account, token)


def renew_all(store: Writing, name: str, who: Who) -> list[Link]:
    """New links for all accounts under a containment, in place of the old ones. Raises StaleError before it begins."""
    held = containment(store, name)
    if held.state == PLANNED:
        raise StaleError(f"{held.containment} has not begun", fix="Begin it first")
    links = _links(store, held)
    this = (HOLDERS.c.containment == held.containment) & (HOLDERS.c.number == bindparam("held"))
    rows = [{"held": link.number, "made": digest(link.token)} for link in links]
    store.connection.execute(update(HOLDERS).where(this).values(token=bindparam("made")), rows)
    record(store, "renew", who, held.case, because=(held.containment, EVERY_HOLDER))
    return links


def told(store: Reading, held: Containment) -> Entry | None:
    """The entry with which notices for all holders were last written; None while that has not been done.

    On the command line beginning writes them; in the console it is a step of its own.
    """
    made = ("renew", (held.containment, EVERY_HOLDER))
    for _, entry in reversed(store.history(held.case)):
        if (entry.what, entry.because) == made:
            return entry
        if entry.what == "contain" and entry.containment is not UNSET:
            if entry.containment.containment == held.containment:
                return entry if entry.via == COMMAND_LINE else None
    return None


def became(store: Reading, held: Containment) -> str:
    """The state of a containment; of a planned one, what became of its request, or that the case changed since."""
    if held.state != PLANNED:
        return held.state
    asked = approvals.request(store, held.request)
    if asked.state not in (approvals.WAITING, approvals.APPROVED):
        return asked.state
    return PLANNED if approvals.current(store, asked) else "outdated"


def holder(store: Reading, name: str, account: str) -> Holder:
    """An account under a containment that has begun. Raises InputError."""
    held = containment(store, name)
    this = (HOLDERS.c.containment == held.containment) & (HOLDERS.c.account == hashed(account))
    row = store.connection.execute(select(HOLDERS).where(this)).one_or_none()
    if row is None:
        raise InputError(f"{account!r} is not under {held.containment}", fix="Check the id of the account")
    return Holder(held, row.number, account, row.state, row.measure, row.version, row.token_until)


def numbered(store: Reading, name: str, number: int) -> Holder:
    """An account under a containment by its number."""
    held = containment(store, name)
    return holder(store, name, sorted(store.accounts(held.accounts))[number])


def linked(held: Containment, links: Sequence[Link]) -> Iterator[Holder]:
    """The accounts of new links for all, as they are under a containment; nothing is looked up."""
    until = later(held.begins, timedelta(days=APPEAL_DAYS))
    for link, now in zip(links, held.holders(), strict=True):
        yield Holder(held, link.number, link.account, now.state, now.measure, held.version, until)


def bearer(store: Reading, token: str, now: str) -> Holder:
    """Whose link this is. Raises InputError for one that is none, was replaced, or is over."""
    row = None
    if token and token.isascii() and len(token) <= _TOKEN_LENGTH:
        row = store.connection.execute(select(HOLDERS).where(HOLDERS.c.token == digest(token))).one_or_none()
    if row is None:
        raise InputError("this link does not hold", fix="Use the newest one that you were sent, all of it")
    if row.token_until < now and not _is_appealing(store, row.containment, row.number):
        raise InputError(f"this link ended on {row.token_until[:10]}", fix="Ask whoever sent it for another")
    return numbered(store, row.containment, row.number)


def refuse_cleared(store: Reading, planned: Containment) -> None:
    """Raise SetupError where accounts are under another measure, or were cleared and the evidence is the same."""
    hashes = [hashed(account) for account in store.accounts(planned.accounts)]
    under: dict[tuple[str, str], int] = {}
    for i in range(0, len(hashes), _AT_ONCE):
        wanted = (
            select(HOLDERS.c.containment, HOLDERS.c.state, func.count())
            .where(HOLDERS.c.account.in_(hashes[i : i + _AT_ONCE]), HOLDERS.c.state != ENDED)
            .group_by(HOLDERS.c.containment, HOLDERS.c.state)
        )
        for name, state, count in store.connection.execute(wanted):
            under[name, state] = under.get((name, state), 0) + count
    for (name, state), count in sorted(under.items()):
        told = f"{count:,} of these {planned.size:,} accounts {'is' if count == 1 else 'are'}"
        if name != planned.containment and state in ACTIVE:
            raise SetupError(f"{told} under {name} already", fix=f"End it first: clonewatch appeals end {name}")
        if state in CLEARED and not new_since(containment(store, name), planned):
            raise SetupError(
                f"{told} cleared: {name} was {state} for them, on the same evidence",
                fix="Leave them out: clonewatch cases split; or bring in a scan that finds other evidence",
            )


def new_since(cleared: Containment, now: Containment) -> tuple[str, ...]:
    """What the evidence has now that it had not for a containment before: families or odds. Accounts are no news."""
    ruled = Basis(set(), frozenset(cleared.families), cleared.odds_bits)
    return news(ruled, Basis(set(), frozenset(now.families), now.odds_bits))


def settle(
    store: Writing,
    held: Containment,
    numbers: Sequence[int] | None,
    state: str,
    what: What,
    who: Who,
    *,
    measure: str = "",
    appeal: Appeal | UnsetType = UNSET,
    note: str = "",
    because: tuple[str, ...] = (),
) -> Containment:
    """Change the state of some accounts under a containment, or of all: of those that are under it still, or ended.

    measure: what stays; empty for nothing. Returns it as it is afterwards.
    """
    if numbers is None:
        kept = tuple(one for one in held.apart if one.state not in (*ACTIVE, ENDED))
        after = following(held, state=state, apart=kept)
        changed = HOLDERS.c.state.in_((*ACTIVE, ENDED))
    else:
        others = [one for one in held.apart if one.holder not in numbers]
        mine = [Apart(number, state, measure) for number in numbers]
        after = following(held, apart=tuple(sorted([*others, *mine], key=lambda one: one.holder)))
        changed = HOLDERS.c.number.in_(numbers)
    this = (HOLDERS.c.containment == held.containment) & changed
    record(store, what, who, after.case, held=after, appeal=appeal, note=note, because=because)
    values = {"state": state, "measure": measure, "version": after.version}
    store.connection.execute(update(HOLDERS).where(this).values(**values))
    return after


def record(
    store: Writing,
    what: What,
    who: Who,
    case: str,
    *,
    held: Containment | UnsetType = UNSET,
    appeal: Appeal | UnsetType = UNSET,
    note: str = "",
    because: tuple[str, ...] = (),
) -> int:
    """Add an entry about a containment, an appeal, or both, as they are now; returns its number."""
    kept = new_note(note) if note.strip() else None
    text = note_digest(kept.salt, kept.text) if kept else ""
    new = Entry(what, who.at, who.by, (case,), (), because, note=text, via=who.via, containment=held, appeal=appeal)
    return store.add(new, kept)


def following(held: Containment, **changed: object) -> Containment:
    """A containment after a change: its next version."""
    return msgspec.structs.replace(held, version=held.version + 1, **changed)


def _is_appealing(store: Reading, name: str, number: int) -> bool:
    """Whether an account has an appeal that is not decided: its holder may reply, however late it is."""
    this = (APPEALS.c.containment == name) & (APPEALS.c.holder == number) & APPEALS.c.state.in_(LIVE)
    return store.connection.execute(select(APPEALS.c.appeal).where(this)).first() is not None


def _links(store: Reading, held: Containment) -> list[Link]:
    accounts = sorted(store.accounts(held.accounts))
    return [Link(held.containment, n, account, secrets.token_urlsafe(32)) for n, account in enumerate(accounts)]


def _row(begun: Containment, link: Link, until: str) -> dict[str, object]:
    return {
        "containment": begun.containment,
        "number": link.number,
        "account": hashed(link.account),
        "state": STANDING,
        "measure": begun.measure,
        "version": begun.version,
        "token": digest(link.token),
        "token_until": until,
    }


def _check(plan: Plan) -> None:
    if plan.measure not in MEASURES:
        raise SetupError(f"there is no measure {plan.measure!r}", fix=f"Use one of: {', '.join(MEASURES)}")
    if not 1 <= plan.days <= MOST_DAYS:
        raise SetupError(
            f"a measure cannot stand for {plan.days} days", fix=f"Choose 1 to {MOST_DAYS}, and ask again then"
        )
    if not 1 <= plan.answer_days <= MOST_ANSWER_DAYS:
        raise SetupError(
            f"{plan.answer_days} days are no time to answer an appeal in", fix=f"Choose 1 to {MOST_ANSWER_DAYS}"
        )
    if not plan.ground.strip():
        raise SetupError("the ground is missing", fix="Name the clause of your terms that was broken, and what it says")
