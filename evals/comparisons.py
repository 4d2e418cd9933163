"""Chapters of the evaluation page on honest accounts, errors, and other methods."""

from __future__ import annotations

from evals.intervals import exact, precision_at, wilson
from evals.jobs import OURS
from evals.wording import COLUMN_NAMES, Record, brief, scales_of, span, table_of, total


def quiet(summary: Record) -> str:
    """Attack-free logs: false alarms, and whether p-values are calibrated."""
    rows, parts = summary["quiet"], summary["calibration"]
    if not rows:
        return ""
    alarmed = exact(sum(r["false_alarms"] > 0 for r in rows), len(rows))
    table = [
        [
            p["class"],
            str(p["groups"]),
            str(p["with_p"]),
            brief(p["ks"]),
            brief(p["ks_p"]),
            brief(p["mean_e"]),
            *(str(exact(n, p["with_p"])) for n in (p["at_most"][k] for k in ("0.01", "0.05"))),
        ]
        for p in parts
    ]
    head = [
        "Accounts per group",
        "Groups reported",
        "With a p-value",
        "KS",
        "p of KS",
        "Mean e-value",
        "p at most 0.01",
        "p at most 0.05",
    ]
    return f"""## Logs without a campaign

{len(rows)} logs of honest people and look-alikes; how many of each is drawn for every log (seeds
{span(r["seed"] for r in rows)}, scale {scales_of(rows)}): {total(rows, "accounts"):,} accounts,
{total(rows, "exchanges"):,} exchanges. Logs with a false alarm: {alarmed}.
Honest accounts flagged: {exact(total(rows, "honest_flagged"), total(rows, "honest"))}.

Groups that are linked strongly enough to be reported have a p-value, although none is a campaign. If the p-values are
calibrated, no more than 5 % of them are at most 0.05, and the mean e-value is at most 1. *KS* is the one-sided
Kolmogorov-Smirnov statistic: the largest excess of small p-values over the uniform distribution. Its p-value treats
groups as independent.

<<calibration>>

{table_of(head, table)}"""


def look_alikes(summary: Record) -> str:
    """Every honest role: accounts, how many were reported, how many were flagged."""
    if not summary["roles"]:
        return ""
    table = [
        [f"`{name}`", f"{accounts:,}", f"{reported:,}", str(exact(flagged, accounts))]
        for name, (accounts, reported, flagged) in summary["roles"].items()
    ]
    return f"""## Honest look-alikes

Honest accounts of all logs by role: how many are in a reported group, flagged or not, and how many are flagged.

{table_of(["Role", "Accounts", "In a reported group", "Flagged"], table)}"""


def frontier(summary: Record) -> str:
    """Harvest stopped against honest accounts acted on."""
    found = summary["frontier"]
    if not any(found["by"].values()):
        return ""
    rule = found["rule"]
    said = [_clean(COLUMN_NAMES.get(name, name), lines) for name, lines in found["by"].items()]
    return f"""## Yield against collateral

Suppose that a provider acts on every group above a threshold and ignores every other criterion. At best, this stops
the harvest from the time there was enough evidence to test the group, and it hits the honest accounts in the group. The
threshold may be on the evidence alone (`campaigns.score`, in bits) or on the limiting criterion of the verdict
(`campaigns.threshold_ratio`). Over {found["campaigns"]} campaigns and {found["account_months"]:,.0f} honest
account-months. Groups that are linked too weakly to be reported are left out.

<<frontier>>

The rule of the scan: {rule["leaked"]:.1%} of the harvest is not stopped, {rule["honest"]:,.1f} honest accounts are
acted on per 100,000 account-months. {" ".join(said)}"""


_SAID = {
    "volume": "requests per account",
    "infrastructure": "communities of shared cards, devices and networks (after EvilCohort, 2015)",
    "projection": "TF-IDF of templates and prompts, cosine, top 0.5 % of pairs (after Pacheco and others, 2021)",
    "synchrony": "Jaccard similarity of (template or network, hour), single linkage (after SynchroTrap, 2014)",
    "densest": "densest blocks of accounts and attributes, log-weighted (after FRAUDAR, 2016)",
    "discrepancy": "MMD of an account's exchanges against honest ones (after arXiv 2606.05725)",
    OURS: "flagged groups first, then score and membership",
}


def baselines(summary: Record) -> str:
    """Other methods on the same logs."""
    found = summary["rivals"]
    if not found:
        return ""
    rates = sorted(next(iter(found.values()))["at"], key=float, reverse=True)
    bases = sorted(next(iter(found.values()))["at"][rates[0]]["precision"], key=float, reverse=True)
    head = [
        "Method",
        *(f"Recall at {_one_in(r)} honest flagged" for r in rates),
        *(f"Precision at base rate {_one_in(b)}" for b in bases),
        "Campaigns in one group",
        "Groups, honest ones",
    ]
    table = []
    for name, told in found.items():
        at = [told["at"][r] for r in rates]
        groups = told["groups"]
        table.append(
            [
                f"**{name}**: {_SAID.get(name, '')}",
                *(f"{a['recall']:.3f}" for a in at),
                *(brief(at[-1]["precision"][b]) for b in bases),
                f"{groups['found']} of {groups['campaigns']}" if groups else "-",
                f"{groups['all']}, {groups['honest']}" if groups else "-",
            ]
        )
    some = next(iter(found.values()))
    allowed = ", ".join(f"{some['at'][r]['allowed']} at {_one_in(r)}" for r in rates)
    ours = summary["oracles"].get("as it is")
    flags = ""
    if ours:
        recall, bound = ours["caught"] / ours["members"], exact(ours["honest_flagged"], ours["honest"])
        high = bound.high or 0.0
        at_bound = ", ".join(f"{precision_at(float(b), recall, high) or 0:.3f} ({_one_in(b)})" for b in bases)
        flags = (
            f"\n\nOn these logs the scan flags {bound} of the honest accounts and {recall:.1%} of the "
            f"members. At the upper bound of that interval precision would be {at_bound}: with so few honest accounts, "
            "no stronger claim is possible."
        )
    return f"""## Other methods on the same logs

Reimplemented for this page from their papers (`evals/baselines.py`), over {some["logs"]} logs of
{", ".join(f"`{s}`" for s in summary["oracles"]["as it is"]["each"])} with {some["honest"]:,} honest accounts and
{some["members"]:,} member accounts. The methods rank accounts. Recall is taken at the score where a given number of
honest accounts would be flagged ({allowed}); the scores of all logs are pooled, and ties count against the method.
Precision is base * recall / (base * recall + (1 - base) * rate), at a rate of {_one_in(rates[-1])}. Nothing was tuned,
neither theirs nor ours; the limits that bound each method's cost are in its docstring. *Campaigns in one group*: some
group contains half of a campaign at the purity required of an alarm; the method does not say which group that is.

<<baselines>>

{table_of(head, table)}{flags}"""


def oracles(summary: Record) -> str:
    """Which half of the scan loses campaigns: linking or testing."""
    found = summary["oracles"]
    if not found:
        return ""
    table = []
    for name, o in found.items():
        lost = ", ".join(f"`{s}` {k} of {n}" for s, (k, n) in o["each"].items() if k < n) or "none"
        caught, honest = wilson(o["caught"], o["members"]), exact(o["honest_flagged"], o["honest"])
        table.append([name, f"{o['found']} of {o['campaigns']}", str(caught), str(honest), lost])
    head = ["Variant", "Campaigns found", "Accounts of campaigns flagged", "Honest accounts flagged", "Not found"]
    return f"""## Linking or testing: which half loses campaigns

Two oracles on the same logs. One keeps the scan's own clusters and flags those in which most accounts are true members:
no test could do better on these clusters. The other replaces the clusters by the true campaigns and leaves the verdict
to the scan: no linking could do better for these tests. Members without any rare attribute are in no cluster either
way.

{table_of(head, table)}"""


def _clean(name: str, lines: list[Record]) -> str:
    """The lowest threshold that hits no honest account of these logs."""
    free = [x for x in lines if x["honest"] == 0]
    if not free:
        return f"No threshold on the {name} alone spares every honest account here."
    best = min(free, key=lambda x: (x["leaked"], x["threshold"]))
    return (
        f"A threshold of {best['threshold']:.2g} on the {name} alone hits no honest account here; at least "
        f"{best['leaked']:.1%} is not stopped."
    )


def _one_in(rate: str) -> str:
    """A share as "1 in N".

    >>> _one_in("0.0001")
    '1 in 10,000'
    """
    return f"1 in {round(1 / float(rate)):,}"
