"""What a dossier says in words: standing, summary, ladder, purpose factors, alternatives, and what is not known."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from clonewatch.cases.records import CONFIRMED, INNOCENT, RULED, Case
from clonewatch.dossier.figures import Value
from clonewatch.model.questions import BY_ID, QUESTIONS
from clonewatch.report import phrases, standing
from clonewatch.report.numerals import amount, count, day, number, visible

Row = Mapping[str, Any]
Figures = Mapping[str, Value]
_REASON = 600  # characters of a sentence of evidence
# What comes after the ladder of a scan, with what it would take.
_BEYOND = (
    {
        "code": "L4",
        "name": "attribution to an organisation",
        "says": "A named organisation operates the group.",
        "lacks": "A direct tie to an organisation, a second source that does not depend on the first, and the judgement"
        " of people and counsel. A log of exchanges holds none of these. It is never made here.",
        "lowered_by": "Infrastructure that several operators share.",
    },
    {
        "code": "L5",
        "name": "use in training",
        "says": "Answers were used to train a model.",
        "lacks": "A test of the trained model that was planned and committed to before it was run, with its rate of"
        " false alarms. It is never made here; the command audit of Clonewatch makes such tests.",
        "lowered_by": "Answers that reached the model over the public web.",
    },
)
# H.R. 8283, as introduced on 15 April 2026, lets the purpose be inferred from four factors.
FACTORS_SOURCE = (
    "The four factors are those of H.R. 8283 as introduced on 15 April 2026, from which it would let a purpose be"
    " inferred. It was a bill then. Which law applies is for counsel to say."
)
NOT_SHOWN = (
    "That the use was without permission: terms, contracts and exceptions are not in a log.",
    "That credentials were false or controls were circumvented, beyond the things shared under unrelated names that the"
    " evidence lists.",
    "That answers were used to train a model.",
    "What anybody knew or intended.",
    "Who the operator is: a person, a firm, or several.",
    "That anybody suffered damage, or how much.",
)
UNTESTED = (
    "A permission, such as a contract for evaluation or synthetic data: ask sales and legal.",
    "A reseller or aggregator that nobody declared: ask the account holders.",
    "Whatever the log does not record, such as exchanges on other services.",
)


def status(case: Case, row: Row) -> dict[str, str]:
    """Whether it is a finding, and of whom. code: confirmed, unruled, innocent or no_finding."""
    ruling = case.ruling if case.status == RULED else None
    if ruling and ruling.ruling == INNOCENT:
        asked = BY_ID[ruling.explanation].asks if ruling.explanation in BY_ID else ruling.explanation
        return {
            "code": "innocent",
            "said": f"This is not a finding. On {day(ruling.at)} a person ruled the group innocent. The question was:"
            f" {asked} The answer is yes.",
        }
    below = standing.outcome(row) != "flagged"
    if ruling and ruling.ruling == CONFIRMED and not below:
        return {
            "code": "confirmed",
            "said": f"The scan flagged this group, and on {day(ruling.at)} a person confirmed that one operator runs it"
            " covertly. It names nobody.",
        }
    if ruling and ruling.ruling == CONFIRMED:
        return {
            "code": "no_finding",
            "said": "By the evidence in this file it is not a finding: the scan did not flag the group. A person"
            f" confirmed it on {day(ruling.at)}, on grounds that this file does not hold.",
        }
    if below:
        what = "for review" if standing.outcome(row) == "review" else "only listed"
        return {
            "code": "no_finding",
            "said": f"This is not a finding. The group is {what}: its accounts are linked, and the evidence is below"
            " what a flag takes. Nothing may be held against anybody on the strength of it.",
        }
    return {
        "code": "unruled",
        "said": "This is not yet a finding. The scan flagged the group, and no person has ruled on it. A flag is where"
        " a person starts to check.",
    }


def summary(said: str, row: Row, figures: Figures, window: Mapping[str, str]) -> list[str]:
    """The dossier in a few plain sentences."""
    links = _families(row, figures)
    p = _number(figures["p_value"])
    n = _whole(figures["p_n"])
    attributed = _whole(figures["attributed_exchanges"])
    return [
        said,
        f"From {day(window['first'])} to {day(window['last'])}, {phrases.accounts_of(_whole(figures['accounts']))} sent"
        f" {amount(_whole(figures['exchanges']), 'exchange')}."
        + (
            f" {count(attributed)} of them, on {amount(_whole(figures['active_days']), 'day')}, are attributed to the"
            " group."
            if attributed
            else " None of them is attributed to a campaign."
        ),
        links,
        f"The p-value is {number(p)}, by comparison with {count(n)} linked groups in honest logs: how often such a"
        " group comes this close to the threshold by chance. It is not the probability that this group is innocent."
        if p is not None
        else "No p-value was computed.",
        "The file says what was done with these accounts. It does not say who did it, why, what became of the answers,"
        " or whether anybody suffered damage.",
    ]


def _families(row: Row, figures: Figures) -> str:
    names = [phrases.plain(name) for name in row["families"] or ()]
    if not names:
        return "No family of evidence counts."
    return (
        f"Families of evidence that count ({len(names)}): {', '.join(names)}."
        f" Pieces of evidence that speak against: {count(_whole(figures['evidence_against']))}."
    )


def ladder(row: Row) -> list[dict[str, Any]]:
    """The levels L0 to L5: which one was reached, and what each further one lacks here."""
    codes = [rung.code for rung in phrases.LADDER]
    code = phrases.level(row["level"]).code
    reached = codes.index(code) if code in codes else -1
    out: list[dict[str, Any]] = []
    for i, rung in enumerate(phrases.LADDER):
        lacks = "" if i <= reached else standing.missing(row) or f"Evidence for this: {rung.says}"
        out.append(
            {
                "code": rung.code,
                "name": rung.name,
                "reached": i <= reached,
                "says": rung.says,
                "not_said": rung.not_said,
                "lacks": lacks,
                "lowered_by": rung.lowered_by,
            }
        )
    return out + [{**rung, "reached": False, "not_said": ""} for rung in _BEYOND]


def evidence(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """The evidence by family, the strongest first, with the ids of exchanges that show it."""
    families: dict[str, list[Row]] = {}
    for row in sorted(rows, key=lambda r: -(r["bits"] or 0.0)):
        families.setdefault(row["family"], []).append(row)
    return [
        {"family": phrases.plain(family), "pieces": [_piece(row) for row in held]} for family, held in families.items()
    ]


def _piece(row: Row) -> dict[str, Any]:
    return {
        "signal": row["signal"],
        "title": phrases.signal(row["signal"]),
        "kind": row["kind"],
        "bits": row["bits"],
        "strength": phrases.strength(row["bits"]),
        "value": row["value"],
        "reference": row["reference"],
        "n": row["n"],
        "reason": visible(row["reason"], _REASON),
        "exchange_ids": [visible(one) for one in row["exchange_ids"] or ()],
    }


def twins(rows: Iterable[Row]) -> list[dict[str, str]]:
    """The innocent explanation of every piece of evidence, and what was found about it."""
    return [
        {
            "signal": row["signal"],
            "title": phrases.signal(row["signal"]),
            "innocent": visible(row["innocent"], _REASON),
            "found": visible(row["ruled_out"], _REASON),
        }
        for row in rows
        if row["innocent"]
    ]


def questions(row: Row) -> list[dict[str, Any]]:
    """Every question that would settle the group, with its answer where one was given."""
    given = {one["question"]: one for one in (*(row["answered"] or ()), *_innocent(row))}
    out = []
    for one in QUESTIONS:
        answer = given.get(one.id)
        said = "not answered" if answer is None else "yes" if answer.get("yes", True) else "no"
        if answer is None and one.id == row["question"]:
            said = "not answered; it would settle the group best"
        out.append(
            {
                "id": one.id,
                "asks": one.asks,
                "answer": said,
                "by": visible(answer["by"]) if answer else "",
                "at": answer["at"] if answer else "",
                "bits": answer["bits"] if answer else 0.0,
                "looks_like_it": row["look_alike"] == one.id,
            }
        )
    return out


def _innocent(row: Row) -> list[Row]:
    return [one for one in row["ruled"] or () if one["ruling"] == INNOCENT]


def purpose(row: Row, rows: Sequence[Row], figures: Figures, signals: Sequence[Row]) -> list[dict[str, Any]]:
    """The four factors from which a purpose may be inferred: what shows, and what is missing."""
    strong = [one for one in rows if (one["bits"] or 0.0) > 0]
    links = [visible(one["reason"], _REASON) for one in strong if one["kind"] == "link"]
    tests = [visible(one["reason"], _REASON) for one in strong if one["kind"] != "link"]
    idle = sorted({phrases.plain(one["name"]) for one in signals if not one.get("used", True)})
    untested = [f"Not tested, because the log lacks what it takes: {', '.join(idle)}."] if idle else []
    attributed, tasks = _whole(figures["attributed_exchanges"]) or 0, dict(row["tasks"] or ())
    volume = [
        f"{amount(attributed, 'attributed exchange')} of {amount(_whole(figures['accounts']), 'account')} on"
        f" {amount(_whole(figures['active_days']), 'day')}, at most"
        f" {count(_whole(figures['peak_day_exchanges']))} a day."
    ]
    shares = [
        f"{phrases.task(name)}: {count(n)} of {count(attributed)} attributed exchanges."
        for name, n in sorted(tasks.items(), key=lambda item: (-item[1], item[0]))
    ]
    return [
        {
            "factor": "(i) volume, structure, pattern, coordination and timing",
            "shown": (volume if attributed else []) + tests,
            "missing": untested + ([] if tests else ["No test of behaviour speaks for it."]),
        },
        {
            "factor": "(ii) concentration on particular capabilities",
            "shown": shares,
            "missing": ["How the same service is used by others for these tasks is not part of this file."]
            if shares
            else ["The log tells no task of an attributed exchange, or none is attributed."],
        },
        {
            "factor": "(iii) coordinated accounts",
            "shown": links,
            "missing": ["Who opened the accounts."] if links else ["No link between the accounts is strong enough."],
        },
        {
            "factor": "(iv) correlation with the development timeline of another model",
            "shown": [],
            "missing": ["A log says nothing about it. Facts from outside would be needed, and timing alone is weak."],
        },
    ]


def uncertainty(row: Row, figures: Figures) -> list[str]:
    """How sure the figures are, and what they depend on."""
    p, n, e = _number(figures["p_value"]), _whole(figures["p_n"]), _number(figures["e_value"])
    return [
        f"p-value {number(p)}, from {amount(n, 'calibration group')}; it cannot fall below {number(1 / (n + 1))}."
        if n is not None
        else "There is no p-value.",
        f"e-value {number(e)}. It may be averaged over windows.",
        f"Under other seeds of the clustering the group overlaps with itself to {number(_number(figures['stability']))}"
        " on average (1: the same accounts).",
        *[said for said in (standing.odds(row), standing.verdict(row)) if said],
        "The figures hold for traffic like that of the calibration logs. Prior odds of 1 to 16 are an assumption.",
    ]


def worth(figures: Figures, prices: Any) -> dict[str, Any]:
    """What the attributed exchanges cost at list price, and what they may be worth to a student: never a damage."""
    if "input_tokens" not in figures:
        tokens = "Not known: the log was not given, and the tables of a scan hold no tokens."
    else:
        known, all_ = _whole(figures["exchanges_with_tokens"]), _whole(figures["attributed_exchanges"])
        tokens = (
            f"{count(_whole(figures['input_tokens']))} tokens in and {count(_whole(figures['output_tokens']))} out, of"
            f" {count(known)} of {amount(all_, 'attributed exchange')}."
            + ("" if known == all_ else " The log states no tokens of the rest.")
        )
    price = "Not known: no price file was given."
    if "list_price" in figures:
        price = (
            f"{_money(figures['list_price'])} {visible(prices.currency)} at the list prices of {day(prices.date)}"
            f" ({visible(prices.source, _REASON)}), for {count(_whole(figures['exchanges_priced']))} exchanges. It is"
            " what the list asks for these tokens, without discounts: neither what was paid nor a damage."
        )
    student = "Not known."
    if prices is not None and prices.student:
        held = prices.student
        sources = "; ".join(visible(source, 300) for source in held.sources)
        student = (
            f"Between {held.low:g} and {held.high:g} {visible(held.unit)}, by {sources}."
            " It is a range of others' estimates and was not measured here."
        )
    return {
        "tokens": tokens,
        "list_price": price,
        "student": student,
        "not_claimed": "No damage is claimed. What the answers were used for is not known.",
    }


def _money(value: Value) -> str:
    return f"{float(value or 0.0):,.2f}"


def _whole(value: Value) -> int | None:
    return None if value is None or isinstance(value, str) else int(value)


def _number(value: Value) -> float | None:
    return None if value is None or isinstance(value, str) else float(value)
