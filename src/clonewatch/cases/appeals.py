"""Appeals against a measure: what the holder of an account writes, and what people answer."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import NamedTuple

import msgspec
from msgspec import UNSET
from sqlalchemy import func, select

from clonewatch.cases import attachments
from clonewatch.cases.attachments import Attachment, File
from clonewatch.cases.changes import Decision, Who, day, rule, split
from clonewatch.cases.containments import Holder, containment, numbered, record, settle
from clonewatch.cases.measures import (
    ACTIVE,
    CONDITIONAL,
    LAPSED,
    LESSENED,
    LIVE,
    MEASURES,
    OPEN,
    OVERTURNED,
    PARTIAL,
    PLANNED,
    UPHELD,
    WAITING,
    Appeal,
    Containment,
)
from clonewatch.cases.people import later, seconds_between
from clonewatch.cases.records import INNOCENT, What
from clonewatch.cases.store import Reading, Writing
from clonewatch.cases.tables import APPEALS
from clonewatch.model.errors import ClonewatchError, InputError, SetupError, StaleError

UPHOLD, OVERTURN, PART, CONDITION, MORE = "uphold", "overturn", "partial", "conditional", "ask"
OUTCOMES = (UPHOLD, OVERTURN, PART, CONDITION, MORE)
MOST_TEXT, MOST_MESSAGES, MOST_ASKED, MOST_WAIT_DAYS = 10_000, 50, 2, 30
HOLDER, PROVIDER = "holder", "provider"


class Answer(NamedTuple):
    """An answer to an appeal. measure: the milder one that stays, for `partial`. by: a day, if conditional or asked.

    whole: overturn it for all accounts of the containment. explanation: id of the question whose innocent answer is
    then ruled.
    """

    outcome: str
    measure: str = ""
    by: str = ""
    whole: bool = False
    explanation: str = "wrongly_banned"


class Message(NamedTuple):
    """What was written about an appeal. speaker: holder or provider. what: the kind of entry."""

    entry: int
    at: str
    speaker: str
    by: str
    what: str
    text: str
    files: tuple[Attachment, ...]


def appeals(store: Reading, containment: str | None = None, states: Sequence[str] | None = None) -> list[Appeal]:
    """Appeals, the earliest deadline first."""
    wanted = select(APPEALS.c.body).order_by(APPEALS.c.deadline, APPEALS.c.appeal)
    if containment is not None:
        wanted = wanted.where(APPEALS.c.containment == containment)
    if states is not None:
        wanted = wanted.where(APPEALS.c.state.in_(states))
    return [msgspec.json.decode(body, type=Appeal) for body in store.connection.execute(wanted).scalars()]


def appeal(store: Reading, name: str) -> Appeal:
    """One appeal. Raises InputError."""
    body = store.connection.execute(select(APPEALS.c.body).where(APPEALS.c.appeal == name.upper())).scalar_one_or_none()
    if body is None:
        raise InputError(f"there is no appeal {name!r}", fix="`clonewatch appeals list` lists them")
    return msgspec.json.decode(body, type=Appeal)


def of_holder(store: Reading, holder: Holder) -> Appeal | None:
    """The appeal of an account against a containment; None where there is none."""
    this = (APPEALS.c.containment == holder.containment.containment) & (APPEALS.c.holder == holder.number)
    body = store.connection.execute(select(APPEALS.c.body).where(this)).scalar_one_or_none()
    return msgspec.json.decode(body, type=Appeal) if body else None


def messages(store: Reading, held: Appeal) -> list[Message]:
    """What both sides wrote, oldest first."""
    case = containment(store, held.containment).case
    entries = [(n, e) for n, e in store.history(case) if e.appeal is not UNSET and e.appeal.appeal == held.appeal]
    files = attachments.of(store, [number for number, _ in entries])
    found = []
    for number, entry in entries:
        note, mine = store.note(number), tuple(file for file in files if file.entry == number)
        speaker = HOLDER if entry.what in ("appeal", "reply") else PROVIDER
        found.append(Message(number, entry.at, speaker, entry.by, entry.what, note.text if note else "", mine))
    return found


def write(store: Writing, holder: Holder, text: str, who: Who, files: Sequence[File] = ()) -> Appeal:
    """What the holder of an account writes: the first time an appeal, which starts the clock, then a reply.

    holder: from `containments.bearer`, by the token of a link. Raises SetupError for what is too much or empty, or
    where nothing can be said any more.
    """
    _check_text(text)
    held = of_holder(store, holder)
    if held is None:
        return _first(store, holder, text, who, files)
    if held.state not in LIVE:
        raise SetupError(f"this appeal was answered: {held.state}", fix="The answer says what else you can do")
    said = messages(store, held)
    if sum(one.speaker == HOLDER for one in said) >= MOST_MESSAGES:
        raise SetupError("this appeal has too many messages", fix="Wait for an answer")
    kinds = attachments.checked(files, attachments.total(store, [one.entry for one in said]))
    changed = following(held)
    if held.state == WAITING:
        # The clock stood still from the question up to now.
        spared = timedelta(seconds=max(0.0, seconds_between(who.at, held.answer_by)))
        changed = msgspec.structs.replace(changed, state=OPEN, answer_by="", deadline=later(held.deadline, -spared))
    number = _add(store, "reply", who, holder.containment, changed, text, attachments.said_of(files, kinds))
    attachments.keep(store, number, files, kinds)
    return changed


def decide(store: Writing, name: str, answer: Answer, text: str, who: Who, version: int | None = None) -> Appeal:
    """Answer an appeal. text: the reasons, which the holder reads. version: that of the appeal as it was looked at.

    Raises StaleError where somebody answered first, or the deadline is over; SetupError for an answer that cannot be
    given, such as that the person who asked for the measure upholds it.
    """
    held = appeal(store, name)
    against = numbered(store, held.containment, held.holder)
    if refused := refusal(held, against, answer.outcome, who, version):
        raise refused
    _check_text(text)
    done = {"outcome": answer.outcome, "answered_at": who.at, "answered_by": who.by}
    if answer.outcome == OVERTURN:
        return _overturn(store, held, answer, text, who)
    if answer.outcome == PART:
        _check_milder(answer.measure, against)
        changed = following(held, state=PARTIAL, answer_by="", measure=answer.measure, **done)
        settle(
            store,
            against.containment,
            [held.holder],
            LESSENED,
            "decide",
            who,
            measure=answer.measure,
            appeal=changed,
            note=text,
            because=(PART, answer.measure),
        )
        return changed
    if answer.outcome == UPHOLD:
        changed = following(held, state=UPHELD, answer_by="", **done)
    elif answer.outcome == CONDITION:
        until = _until(answer.by, who.at)
        grace = timedelta(days=against.containment.answer_days)
        changed = following(held, state=CONDITIONAL, answer_by=until, deadline=later(until, grace), **done)
    else:
        until = _until(answer.by, who.at)
        longer = later(held.deadline, timedelta(seconds=seconds_between(who.at, until)))
        changed = following(held, state=WAITING, asked=held.asked + 1, answer_by=until, deadline=longer)
    _add(store, "decide", who, against.containment, changed, text, (answer.outcome,))
    return changed


def following(held: Appeal, **changed: object) -> Appeal:
    """An appeal after a change: its next version."""
    return msgspec.structs.replace(held, version=held.version + 1, **changed)


def _first(store: Writing, holder: Holder, text: str, who: Who, files: Sequence[File]) -> Appeal:
    if holder.containment.state == PLANNED or holder.state in (LAPSED, OVERTURNED):
        raise SetupError(f"nothing stands against this account: the measure is {holder.state}")
    kinds = attachments.checked(files)
    count = store.connection.execute(select(func.count()).select_from(APPEALS)).scalar_one()
    new = Appeal(
        appeal=f"A{count + 1:04d}",
        version=1,
        containment=holder.containment.containment,
        holder=holder.number,
        state=OPEN,
        at=who.at,
        deadline=later(who.at, timedelta(days=holder.containment.answer_days)),
    )
    number = _add(store, "appeal", who, holder.containment, new, text, attachments.said_of(files, kinds))
    attachments.keep(store, number, files, kinds)
    return new


def _overturn(store: Writing, held: Appeal, answer: Answer, text: str, who: Who) -> Appeal:
    """Take a measure back, for the account or for all, and rule the accounts innocent for the next scan."""
    now, because = containment(store, held.containment), (OVERTURN, "all accounts" if answer.whole else "this account")
    done = {"outcome": OVERTURN, "answered_at": who.at, "answered_by": who.by}
    changed = following(held, state=OVERTURNED, answer_by="", **done)
    numbers = None if answer.whole else [held.holder]
    now = settle(store, now, [held.holder], OVERTURNED, "decide", who, appeal=changed, note=text, because=because)
    if numbers is None:
        now = settle(store, now, None, OVERTURNED, "decide", who, because=(OVERTURN, f"as {held.appeal}"))
        for other in appeals(store, held.containment, LIVE):
            settled = following(other, state=OVERTURNED, answer_by="", **done)
            _add(store, "decide", who, now, settled, text, (OVERTURN, f"as {held.appeal}"))
    accounts = sorted(store.accounts(now.accounts))
    cleared = frozenset(accounts) if numbers is None else frozenset(accounts[number] for number in numbers)
    _allow(store, cleared, answer.explanation, who, f"{held.appeal} overturned {held.containment}")
    return changed


def _allow(store: Writing, accounts: frozenset[str], explanation: str, who: Who, note: str) -> None:
    """Rule accounts innocent wherever they are; they leave a case that also has others."""
    for case in store.sharing(sorted(accounts)):
        whole = store.accounts(case.accounts)
        name = case.case if whole <= accounts else split(store, case.case, whole & accounts, who, note)[1].case
        rule(store, [name], Decision(INNOCENT, explanation), who, note)


def _add(
    store: Writing, what: What, who: Who, held: Containment, new: Appeal, text: str, because: tuple[str, ...]
) -> int:
    return record(store, what, who, held.case, appeal=new, note=text, because=because)


def refusal(
    held: Appeal, against: Holder, outcome: str, who: Who, version: int | None = None
) -> ClonewatchError | None:
    """Why somebody cannot give an answer of this kind now; None where they can. version: as for `decide`."""
    if outcome not in OUTCOMES:
        return SetupError(f"there is no outcome {outcome!r}", fix=f"Use one of: {', '.join(OUTCOMES)}")
    if stale := _stale(held, outcome, who, version):
        return stale
    if outcome not in (OVERTURN, MORE) and who.by.casefold() == against.containment.asked_by.casefold():
        return SetupError(
            f"{who.by} asked for this measure", fix="Let somebody else answer; whoever asked may only overturn it"
        )
    if outcome == MORE and (held.asked >= MOST_ASKED or held.state == WAITING):
        return SetupError("the holder was asked often enough", fix="Decide on what there is")
    if outcome == PART and against.state not in ACTIVE:
        return SetupError(
            f"nothing stands against this account: the measure is {against.state}", fix="Uphold or overturn"
        )
    if outcome == PART and not milder(against.measure):
        return SetupError(f"no measure is milder than {against.measure}", fix="Overturn it, or name a condition")
    return None


def milder(measure: str) -> list[str]:
    """The measures that are milder than one, the mildest first."""
    order = list(MEASURES)
    return order[: order.index(measure)] if measure in order else []


def _stale(held: Appeal, outcome: str, who: Who, version: int | None) -> StaleError | None:
    look = f"Look at it again: clonewatch appeals show {held.appeal}"
    answered = f"{held.answered_by} answered it on {held.answered_at[:10]}: {held.outcome}"
    if version is not None and version != held.version:
        said = f": {answered}" if held.outcome else ""
        return StaleError(f"{held.appeal} is at version {held.version}, not {version}{said}", fix=look)
    if held.state in LIVE:
        if held.deadline < who.at and outcome != OVERTURN:
            return StaleError(
                f"{held.appeal} had to be answered by {held.deadline}: the measure has lapsed",
                fix="Record that with `clonewatch appeals lapse`, or overturn the measure",
            )
        return None
    said = answered if held.outcome else f"{held.appeal} is {held.state}"
    if outcome != OVERTURN or held.state == OVERTURNED:
        return StaleError(said, fix=look)
    if version is None:
        return StaleError(said, fix=f"To overturn it nevertheless, name the version that you saw: {held.version}")
    return None


def _check_text(text: str) -> None:
    if not text.strip():
        raise SetupError("the text is empty", fix="Say why")
    if len(text) > MOST_TEXT:
        raise SetupError(f"the text is too long: {len(text):,} characters", fix=f"Write at most {MOST_TEXT:,}")


def _check_milder(measure: str, against: Holder) -> None:
    if measure not in milder(against.measure):
        fix = f"Use one of: {', '.join(milder(against.measure))}"
        raise SetupError(f"{measure!r} is no milder measure than {against.measure}", fix=fix)


def _until(given: str, at: str) -> str:
    """The end of a day by which the holder does something, as a time."""
    if not given:
        raise SetupError("the day by which is missing", fix="Pass --by DATE")
    end = f"{day(given)}T23:59:59Z"
    if not at < end <= later(at, timedelta(days=MOST_WAIT_DAYS + 1)):
        raise SetupError(f"{given} is over or too far away", fix=f"Choose a day in the next {MOST_WAIT_DAYS}")
    return end
