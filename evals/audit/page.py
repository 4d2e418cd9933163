"""Writes docs/audit.md and its pictures from the figures of the audit study. Every figure comes from a run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from clonewatch.audit.outcome import p_value_text
from evals.audit import curves, pictures
from evals.intervals import exact

PAGE = Path(__file__).resolve().parents[2] / "docs" / "audit.md"
Record = dict[str, Any]

TRIED = """## What was tried against it

Hostile answers, servers, keys and files, and their outcomes, are with
[what hostile input does](hardening.md#the-audit).
"""

HEAD = """# The audit, measured

How often the tests of [an audit](using/audit.md) detect a model that was trained on our outputs, how rarely they are
wrong, and what defeats them. Everything here is small: teachers and students are trigram models or transformers of
two layers, trained on the texts that ship with Python, with a vocabulary of 1,024 words. The figures demonstrate
the methods and their false-alarm rates; they do not predict results for large models. Written by

    python -m evals.audit_study

from `evals/results/audit.json`; nothing is typed by hand. The seeds of this page were not used while the statistics
were developed. Columns *plain*, *text* and *logprobs* are p-values: of the distinct inputs alone (exact); of the text
with our model without the watermark as reference (an upper bound); of the suspect's 32 largest probabilities at each
place with the same reference (an upper bound).
"""


def write(sums: Record, page: Path = PAGE) -> Path:
    """Write the page and the pictures of the parts that exist."""
    parts: list[tuple[str, Callable[[Any], str]]] = [
        ("alarms", _alarms),
        ("dilution", _dilution),
        ("queries", _queries),
        ("windows", _windows),
        ("rewriting", _rewriting),
        ("imitation", _imitation),
        ("neural", _neural),
    ]
    text = [
        HEAD,
        *(make(sums[name]) for name, make in parts if name in sums),
        _power(sums),
        _LIMITS,
        TRIED,
        _STAMP,
    ]
    folder = page.parent / "pictures"
    folder.mkdir(parents=True, exist_ok=True)
    for name, draw in (("dilution", pictures.dilution), ("queries", pictures.queries), ("neural", pictures.neural)):
        if name in sums:
            (folder / f"audit-{name}.svg").write_text(draw(sums[name]), encoding="utf-8")
    page.write_text("\n".join(text), encoding="utf-8")
    return page


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * len(head), *(f"| {' | '.join(row)} |" for row in rows)]
    return "\n".join(lines) + "\n"


def _three(row: Record) -> list[str]:
    return [p_value_text(row[name]) for name in ("plain", "text", "logprobs")]


def _alarms(rows: Sequence[Record]) -> str:
    levels = [name for name in rows[0] if name.startswith("below_")]

    def cell(row: Record, name: str) -> str:
        return str(exact(row[name], row["keys"]))

    table = _table(
        ["watermark", "test", "keys", *(f"p at most {name.removeprefix('below_')}" for name in levels)],
        [[r["rule"], r["test"], f"{r['keys']:,}", *(cell(r, name) for name in levels)] for r in rows],
    )
    return f"""## False alarms

A student of answers without the watermark, tested with keys that were never used: how often its p-value is below a
level, with 95 % intervals. It should be at most the level. The last row of each watermark shows the usual mistake,
which the audit avoids: every occurrence counted as an independent draw.

{table}"""


def _shares(rows: Sequence[Record], columns: Sequence[str]) -> str:
    """p-values by watermark and share: the median of the seeds, and the worst."""

    def cell(rule: str, share: float, name: str) -> str:
        values = sorted(r[name] for r in rows if (r["rule"], r["share"]) == (rule, share) and name in r)
        if not values:
            return ""
        # The worst result of a control is its smallest p-value.
        worst = values[-1] if share else values[0]
        return p_value_text(values[len(values) // 2]) + (f" (worst {p_value_text(worst)})" if len(values) > 1 else "")

    kinds = dict.fromkeys((r["rule"], r["share"]) for r in rows)
    body = [[rule, f"{share:.0%}", *(cell(rule, share, name) for name in columns)] for rule, share in kinds]
    heads = ["128 twins" if name == "twins" else name for name in columns]
    return _table(["watermark", "share with it", *heads], body)


def _dilution(rows: Sequence[Record]) -> str:
    table, seeds = _shares(rows, ("plain", "text", "logprobs", "twins")), len({r["seed"] for r in rows})
    tokens = rows[0]["tokens"]
    return f"""## By the share of training data that carries the watermark

Trigram students, {tokens:,} tokens of their answers, {seeds} seeds: the median p-value and the worst. A share of
0 % is the control. `kgw` is a green list of one half, bias 2, window 1; `gumbel` is Gumbel-max, window 2. Twins
are pairs whose released answer is among the unmarked rows of the student; 3e-39 means that it preferred all 128
released answers.

With a reference, the bound for Gumbel-max stops falling where the evidence is strong: few inputs carry much of the
weight there, and the bound must allow for them. The exact test without a reference is stronger in such a case.

{table}
![p-values by share](pictures/audit-dilution.svg)
"""


def _queries(rows: Sequence[Record]) -> str:
    table = _table(
        ["watermark", "share with it", "tokens", "plain", "text", "logprobs"],
        [[r["rule"], f"{r['share']:.0%}", f"{r['tokens']:,}", *_three(r)] for r in rows],
    )
    return f"""## By the number of requested tokens

One seed. *plain* soon stops gaining from more questions and can lose power, because an input that was seen once
counts as much as one that was seen a thousand times. The reference fixes that.

{table}
![p-values by tokens](pictures/audit-queries.svg)
"""


def _windows(rows: Sequence[Record]) -> str:
    table = _table(
        ["watermark", "window", "plain", "text", "logprobs"], [[r["rule"], str(r["width"]), *_three(r)] for r in rows]
    )
    return f"""## By the width of the window

A student of watermarked answers only. No test can find what a student cannot learn: a trigram model sees two words
back, so a green list that depends on more words leaves few traces in it. Serve with a window of 1 or 2 if you want
evidence.

{table}"""


def _rewriting(rows: Sequence[Record]) -> str:
    table = _table(
        ["watermark", "words rewritten", "plain", "text", "logprobs"],
        [[r["rule"], f"{r['rewritten']:.0%}", *_three(r)] for r in rows],
    )
    return f"""## After rewriting

A student of watermarked answers only; before training, a model without the watermark redrew a share of the words.
A real paraphraser changes whole sentences and removes more: read the table as an upper bound of what survives.

{table}"""


def _imitation(rows: Sequence[Record]) -> str:
    names = ("text", "logprobs", "twins", "other_key")

    def cell(route: str, name: str) -> str:
        values = sorted(r[name] for r in rows if r["route"] == route)
        # Where a mark is, the worst is the largest p; where nothing should be found, the smallest.
        found = name in ("text", "logprobs") or (name == "twins" and route == rows[0]["route"])
        return f"{p_value_text(values[len(values) // 2])} (worst {p_value_text(values[-1] if found else values[0])})"

    table = _table(
        ["the suspect was trained on", "text", "logprobs", "128 twins", "key of another case, smallest of three"],
        [[route, *(cell(route, name) for name in names)] for route in dict.fromkeys(r["route"] for r in rows)],
    )
    return f"""## Imitation of a mark

Three suspects that show one mark, green lists with window 1. Only the first was trained on our answers (half of them
marked, the twins among the others). The second was trained on text of a forger, a model that had learned the mark from
our marked answers and does not know the key. The third was trained on text that somebody marked with our key. Trigram
models, {len({r["seed"] for r in rows})} seeds, the median p-value and the worst.

{table}
The watermark convicts nobody: it finds the mark in all three. What separates them is what an imitation of the mark
does not carry, here the coins of twin answers. A report therefore says that a mark is present and not where it came
from, and says whether canaries or twin answers of the same plan found dependence too. They do not rule out that a
third party passed on our answers themselves, or that a secret leaked.
"""


def _neural(sums: Record) -> str:
    rows = sums["dilution"]
    by_tokens = _table(
        ["share with it", "tokens", "text", "logprobs"],
        [
            [f"{r['share']:.0%}", f"{r['tokens']:,}", p_value_text(r["text"]), p_value_text(r["logprobs"])]
            for r in sums["queries"]
            if (r["rule"], r["seed"]) == ("kgw", rows[0]["seed"])
        ],
    )
    kinds = dict.fromkeys((r["trained_on_them"], r["pairs"]) for r in sums["twins"])

    def pairs(kind: tuple[bool, int], name: str) -> str:
        values = sorted(r[name] for r in sums["twins"] if (r["trained_on_them"], r["pairs"]) == kind)
        return f"{p_value_text(values[len(values) // 2])} (worst {p_value_text(values[-1] if kind[0] else values[0])})"

    twins = _table(
        ["student", "pairs", "centred on our model", "raw"],
        [
            [
                "trained on the released ones" if kind[0] else "trained on other answers",
                f"{kind[1]:,}",
                pairs(kind, "centred"),
                pairs(kind, "raw"),
            ]
            for kind in kinds
        ],
    )
    canaries = _table(
        ["copies of each in the training data", "p"],
        [[str(r["copies"]), p_value_text(r["log10_p"])] for r in sums["canaries"]],
    )
    return f"""## Transformers

Teacher and students of two layers and width 96, trained from scratch; students answered with {rows[0]["tokens"]:,}
tokens. `kgw` with {len({r["seed"] for r in rows})} seeds, the median and the worst; Gumbel-max and canaries with one.

{_shares(rows, ("plain", "text", "logprobs"))}
![p-values of transformers by share](pictures/audit-neural.svg)

Fewer tokens, one seed, green lists:

{by_tokens}
*Twins*, by the suspect's log-probabilities:

{twins}
*Canaries*, 16 records of three secret words, ranked among 99 decoys each:

{canaries}"""


def _power(sums: Record) -> str:
    rows = curves.points(sums)
    if not rows:
        return ""
    whole = _table(
        ["students, secret and reading", "effect", "bend", "reach", "spread"],
        [
            [name.replace("/", ", "), f"{c.effect:.3f}", f"{c.bend:.2f}", f"{c.reach:,.0f}", f"{c.spread:.3f}"]
            for name, c in curves.fitted(rows).items()
        ],
    )
    out = curves.predicted(rows)
    if not out:
        return ""
    found = [row.evidence >= curves.evidence(-3.0) for row, _, _ in out]
    body = []
    for low, high in ((0.0, 0.1), (0.1, 0.5), (0.5, 0.9), (0.9, 1.01)):
        inside = [hit for hit, (_, _, chance) in zip(found, out, strict=True) if low <= chance < high]
        if inside:
            body.append([f"{low:.0%} to {min(high, 1):.0%}", str(exact(sum(inside), len(inside)))])
    return f"""## Power

The power that a plan states comes from curves fitted to the rows above with a share of at most 25 %, for green lists
and twins. Evidence is y = sqrt(-2 ln p), normal with mean effect * share^bend * sqrt(n / (1 + n / reach)) and standard
deviation sqrt(1 + (spread * mean)^2); n counts tokens, or pairs whose released answers were all trained on (share 1).

{whole}
Each seed, predicted by the curves of the other seeds: of the rows with this predicted power at alpha 0.001, this many
were found. Rows of one seed are not independent, so the intervals are too narrow.

{_table(["predicted power", "found"], body)}
All these students are tiny and overfit: for a large model the curves promise too much. They hold for green lists with
window 1, half of the tokens green and a bias of 2. For Gumbel-max, one key gave twice the evidence of others, so no
curve is given; for canaries, power depends on the copies in the training data, which a provider cannot know. In those
cases a plan states that its power is unknown.
"""


_LIMITS = """## What this does not show

No model above a million parameters, no instruction tuning, no real paraphraser and no student with another tokenizer
was measured. A run with 0.1 to 1 billion parameters on a GPU, with a paraphrase step and a student of another
family, is scripted in `evals/audit/large.py` and **has not been run** (only a trial with toy models of random
weights): no figure of this page comes from it. Small models overfit pairs of words, so the evidence from larger ones
can be weaker. A null result never clears anyone: a thorough paraphrase, a wide window or too few copies defeat
every test here.
"""

_STAMP = """## A timestamp for the ledger

The ledger proves the order of its entries, not their age. To have its head stamped by a timestamp authority (RFC 3161),
give the 64 digits of the head to OpenSSL, and keep the authority's response with the ledger:

    openssl ts -query -digest HEAD -sha256 -cert -out head.tsq
    openssl ts -verify -digest HEAD -in head.tsr -CAfile authority.pem

Send the request to the authority by HTTP, as `application/timestamp-query`; the response is `head.tsr`. Anyone who has
the ledger and that file can then check that every commitment existed before the time in it.
"""
