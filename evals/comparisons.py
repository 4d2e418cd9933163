"""The chapters of the evaluation page on honest accounts, error, and how other methods compare."""

from __future__ import annotations

from evals.intervals import exact, precision_at, wilson
from evals.jobs import OURS
from evals.wording import Record, brief, scales_of, span, table_of, total


def quiet(summary: Record) -> str:
    """Attack-free logs: false alarms, and whether p-values mean what they say."""
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
        "Accounts of a group",
        "Groups told of",
        "With a p-value",
        "KS",
        "p of KS",
        "Mean e-value",
        "p at most 0.01",
        "p at most 0.05",
    ]
    return f"""## Logs without a campaign

{len(rows)} logs of honest people and look-alikes whose numbers are drawn anew for each (seeds
{span(r["seed"] for r in rows)}, scale {scales_of(rows)}): {total(rows, "accounts"):,} accounts,
{total(rows, "exchanges"):,} exchanges. With a false alarm:
{alarmed} of the logs. Honest accounts flagged: {exact(total(rows, "wronged"), total(rows, "honest"))}.

Groups that are linked well enough to be told of carry a p-value although none is a campaign. If p-values mean what they
say, no more than 5 % of them are at most 0.05, and the mean e-value is at most 1. *KS* is how far the share of small
p-values exceeds what it should be, at most, and its p-value treats groups as independent.

<<calibration>>

{table_of(head, table)}"""


def look_alikes(summary: Record) -> str:
    """Every honest role: heads, groups, flags."""
    if not summary["roles"]:
        return ""
    table = [
        [f"`{name}`", f"{cluster_sizes:,}", f"{told:,}", str(exact(flagged, cluster_sizes))]
        for name, (cluster_sizes, told, flagged) in summary["roles"].items()
    ]
    return f"""## Honest look-alikes

Honest accounts of all logs by what they are, those in groups that were told of without being flagged or with, and those
flagged.

{table_of(["Role", "Accounts", "In a group told of", "Flagged"], table)}"""


def frontier(summary: Record) -> str:
    """Yield against collateral."""
    found = summary["frontier"]
    if not any(found["by"].values()):
        return ""
    rule = found["rule"]
    said = [_clean(name, lines) for name, lines in found["by"].items()]
    return f"""## Yield against collateral

An operator who acts on every group above a line, every other condition left out, stops the harvest at best from the
time there was enough to test the group, and hits the honest accounts in it. The line may be on the evidence alone
(`campaigns.score`, in
bits) or on how far the weakest condition of the verdict is met (`campaigns.threshold_ratio`). Over {found["campaigns"]}
campaigns and {found["account_months"]:,.0f} honest account-months. Groups too weakly linked to be told of are not
in it.

<<frontier>>

The rule of the scan: {rule["leaked"]:.1%} gets away, {rule["honest"]:,.1f} honest accounts acted on for every 100,000
account-months. {" ".join(said)}"""


_SAID = {
    "volume": "requests of an account",
    "infrastructure": "communities of shared cards, devices and networks (after EvilCohort, 2015)",
    "projection": "TF-IDF of templates and prompts, cosine, top 0.5 % of pairs (after Pacheco and others, 2021)",
    "synchrony": "Jaccard of (template or network, hour), single link (after SynchroTrap, 2014)",
    "densest": "densest blocks of accounts and attributes, log-weighted (after FRAUDAR, 2016)",
    "discrepancy": "MMD of an account's exchanges against honest ones (after arXiv 2606.05725)",
    OURS: "a flagged group first, then score and membership",
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
        *(f"Recall, {_one_in(r)} honest accused" for r in rates),
        *(f"Precision, {_one_in(b)} a member" for b in bases),
        "Campaigns in one group",
        "Groups, of which honest",
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
        recall, bound = ours["caught"] / ours["members"], exact(ours["wronged"], ours["honest"])
        high = bound.high or 0.0
        at_bound = ", ".join(f"{precision_at(float(b), recall, high) or 0:.3f} ({_one_in(b)})" for b in bases)
        flags = (
            f"\n\nThe flags of this scan on these logs accuse {bound} of the honest accounts and {recall:.1%} of the "
            f"others. At the upper bound of that interval precision would be {at_bound}: so few honest accounts cannot "
            "show more."
        )
    return f"""## Other methods on the same logs

Made anew for this page from their papers (`evals/baselines.py`), over {some["logs"]} logs of
{", ".join(f"`{s}`" for s in summary["oracles"]["as it is"]["each"])} with {some["honest"]:,} honest accounts and
{some["members"]:,} of campaigns. The methods rank; recall is read where so many honest accounts are
accused ({allowed}), the scores of all logs together, ties counted against the method. Precision is
base * recall / (base * recall + (1 - base) * rate), at a rate of {_one_in(rates[-1])}. Nothing was tuned,
neither theirs nor ours, and each method's bound is in its docstring. *Campaigns in one group*: some group holds half
of a campaign at the purity of an alarm; nothing says which group that is.

<<baselines>>

{table_of(head, table)}{flags}"""


def oracles(summary: Record) -> str:
    """Which half loses: linking or testing."""
    found = summary["oracles"]
    if not found:
        return ""
    table = []
    for name, o in found.items():
        lost = ", ".join(f"`{s}` {k} of {n}" for s, (k, n) in o["each"].items() if k < n) or "none"
        caught, wronged = wilson(o["caught"], o["members"]), exact(o["wronged"], o["honest"])
        table.append([name, f"{o['found']} of {o['campaigns']}", str(caught), str(wronged), lost])
    head = ["What", "Campaigns found", "Accounts of campaigns flagged", "Honest accounts flagged", "Not found"]
    return f"""## Which half loses

Two oracles on the same logs. One keeps the scan's own clusters and flags those of which most accounts are truly of a
campaign: no test could do better on these clusters. The other puts the true campaigns in the place of the clusters and
leaves the verdict to the scan: no linking could do better for these tests. Members that carry no rare attribute at
all are in no cluster either way.

{table_of(head, table)}"""


def _clean(name: str, lines: list[Record]) -> str:
    """The lowest line that spares every honest account of these logs."""
    free = [x for x in lines if x["honest"] == 0]
    if not free:
        return f"No line on the {name} alone spares every honest account here."
    best = min(free, key=lambda x: (x["leaked"], x["line"]))
    return (
        f"With a line on the {name} alone that hits no honest account here, at least {best['leaked']:.1%} gets away "
        f"(line {best['line']:.2g})."
    )


def _one_in(rate: str) -> str:
    """A share in the words of a person.

    >>> _one_in("0.0001")
    '1 in 10,000'
    """
    return f"1 in {round(1 / float(rate)):,}"
