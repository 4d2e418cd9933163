"""The chapters of the evaluation page on campaigns: what was found, what was missed, when, and at what cost."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import numpy as np

from evals.intervals import exact, wilson
from evals.jobs import HEADLINE, MIMIC, MIXING
from evals.wording import Record, of_whole, part_of, plain, scales_of, span, table_of, total

_POOLS = ("p1_thin_pool", "p2_fat_pool")
_EARLY = 0.1  # share of a harvest before which an alarm is early
_MISSES = 40  # missed campaigns that are told one by one


def by_scenario(summary: Record) -> str:
    """One row a scenario and scale."""
    groups: defaultdict[tuple[str, float], list[Record]] = defaultdict(list)
    for r in summary["campaigns"]:
        groups[r["scenario"], r["scale"]].append(r)
    if not groups:
        return ""
    table = []
    for (name, scale), rows in sorted(groups.items()):
        attributed, hit, caught = (total(rows, k) for k in ("attributed", "honest_hit", "caught"))
        early = [v for r in rows for v in r["leaked"]]
        table.append(
            [
                f"`{name}`",
                f"{scale:g}",
                str(len(rows)),
                of_whole(rows, "found", "campaigns"),
                str(total(rows, "false_alarms")),
                part_of(caught, caught + total(rows, "wronged")),
                part_of(caught, total(rows, "members")),
                of_whole(rows, "wronged", "honest"),
                part_of(attributed - hit, attributed),
                part_of(attributed - hit, total(rows, "harvested")),
                f"{np.mean(early):.3f}" if early else "-",
            ]
        )
    head = [
        "Scenario",
        "Scale",
        "Logs",
        "Campaigns found",
        "False alarms",
        "Account precision",
        "Account recall",
        "Honest flagged",
        "Exchange precision",
        "Exchange recall",
        "Got away, at best",
    ]
    merged, pieces = total(summary["campaigns"], "merged"), [n for r in summary["campaigns"] for n in r["fragments"]]
    blind = sum(r["blind"] for r in summary["campaigns"])
    stable = [v for r in summary["campaigns"] for v in r["stability"]]
    return f"""## By scenario

<<recall>>

{table_of(head, table)}

*Got away, at best* is the share of true harvested exchanges that were sent before there was enough to test the
campaign (`visible_ts`), or by accounts outside every alarm, averaged over campaigns; an alarm for which no such time is
known stops nothing ({blind} such). Enough to test is not enough to convict: the replays under
[time to detect](#time-to-detect) say when an alarm was raised. Alarms that hold two campaigns: {merged}.
Alarms for each campaign that has any: {np.mean(pieces or [0]):.2f} on average, {max(pieces, default=0)} at most
({sum(n > 1 for n in pieces)} of {len(pieces)} campaigns are in more than one).{
        f" Stability of groups when the graph is drawn anew: median {np.median(stable):.2f}." if stable else ""
    }"""


def missed(summary: Record) -> str:
    """The campaigns that were not found, and how far the scan got."""
    rows = [(r, m) for r in summary["campaigns"] + summary["mimic"] for m in r["missed"]]
    seen: dict[tuple[Any, ...], list[str]] = {}
    for r, m in rows:
        if not m["told"]:
            how = "no group holds any of it"
        else:
            state = "flagged" if m["flagged"] else "told of, not flagged"
            how = f"its largest group, {state}, holds {m['told']} of its accounts; "
            how += f"purity {m['purity']:.2f}, score {m['score']:.1f} bits"
        key = (m["campaign"], r["seed"], r["scale"])
        seen[key] = [f"`{m['campaign']}`", str(r["seed"]), f"{r['scale']:g}", str(m["accounts"]), how]
    if not seen:
        return "## What was missed\n\nEvery campaign was found." if summary["campaigns"] else ""
    told = [seen[key] for key in sorted(seen)]
    rest = f"\n\nAnd {len(told) - _MISSES} more." if len(told) > _MISSES else ""
    return f"""## What was missed

{table_of(["Campaign", "Seed", "Scale", "Accounts", "How far the scan got"], told[:_MISSES])}{rest}"""


def mixing(summary: Record) -> str:
    """Proxies that mix a harvest with honest customers."""
    table = []
    for name in MIXING:
        rows = [r for r in summary["campaigns"] if r["scenario"] == name]
        if not rows:
            continue
        attributed, hit = total(rows, "attributed"), total(rows, "honest_hit")
        customers, accused = (sum(r["proxy_customers"][i] for r in rows) for i in (0, 1))
        table.append(
            [
                f"`{name}`",
                f"{np.mean([c for r in rows for c in r['cover']] or [np.nan]):.0%}",
                of_whole(rows, "found", "campaigns"),
                plain(attributed - hit, attributed),
                plain(attributed - hit, total(rows, "harvested")),
                plain(hit, sum(r["honest_exchanges"] or 0 for r in rows)),
                f"{accused} of {customers:,}",
            ]
        )
    if not table:
        return ""
    head = [
        "Scenario",
        "Cover",
        "Found",
        "Exchange precision",
        "Exchange recall",
        "Honest exchanges hit",
        "Proxy customers accused",
    ]
    return f"""## Mixing proxies

The accounts of these campaigns also carry the traffic of paying customers, so that the verdict on an account says
little and the one on an exchange decides. *Cover* is the share of the accounts' requests that is not harvest.

{table_of(head, table)}"""


def mimic(summary: Record) -> str:
    """The campaign that hides among the users of a popular agent."""
    rows = summary["mimic"]
    if not rows:
        return ""
    found = wilson(total(rows, "found"), total(rows, "campaigns"))
    caught = wilson(total(rows, "caught"), total(rows, "members"))
    return f"""## The agent mimic

`{MIMIC}` uses the prompts, tools and user agent of a popular coding agent, so that it shares most of what can be shared
with honest users. Found on {found} of the seeds {span(r["seed"] for r in rows)}, scale
{scales_of(rows)}; {caught} of its accounts flagged; honest accounts flagged:
{exact(total(rows, "wronged"), total(rows, "honest"))}."""


def pools(summary: Record) -> str:
    """Many quiet accounts against few busy ones."""
    table = []
    for name in _POOLS:
        rows = [r for r in summary["campaigns"] if r["scenario"] == name]
        if rows:
            accounts, days = total(rows, "members"), np.mean([r["days"] for r in rows])
            sent = sum(e["exchanges"] for r in rows for e in r["effort"])
            table.append(
                [
                    f"`{name}`",
                    f"{accounts / max(1, total(rows, 'campaigns')):,.0f}",
                    f"{sent / accounts / days:.1f}",
                    of_whole(rows, "found", "campaigns"),
                    str(wilson(total(rows, "caught"), accounts)),
                    f"{np.mean([v for r in rows for v in r['leaked']]):.1%}",
                ]
            )
    if not table:
        return ""
    head = [
        "Scenario",
        "Accounts of a campaign",
        "Requests an account and day",
        "Found",
        "Accounts flagged",
        "Got away, at best",
    ]
    return f"## Thin and fat pools\n\n{table_of(head, table)}"


def large(summary: Record) -> str:
    """Logs of some ten thousand accounts, one by one."""
    table = [
        [
            f"`{r['scenario']}`",
            str(r["seed"]),
            f"{r['accounts']:,}",
            f"{r['exchanges']:,}",
            f"{r['found']} of {r['campaigns']}",
            str(r["false_alarms"]),
            part_of(r["caught"], r["members"]),
            f"{r['wronged']} of {r['honest']:,}",
            part_of(r["attributed"] - r["honest_hit"], r["attributed"]),
            part_of(r["attributed"] - r["honest_hit"], r["harvested"]),
        ]
        for r in summary.get("large", ())
    ]
    head = [
        "Scenario",
        "Seed",
        "Accounts",
        "Exchanges",
        "Campaigns found",
        "False alarms",
        "Account recall",
        "Honest flagged",
        "Exchange precision",
        "Exchange recall",
    ]
    return f"## Larger logs\n\n{table_of(head, table)}" if table else ""


def timing(summary: Record) -> str:
    """How much of a campaign has gone when it can be seen, and when it is seen."""
    shares = sorted(v for r in summary["campaigns"] for v in r["before"])
    said = ""
    if shares:
        ten = sum(v <= _EARLY for v in shares)
        said = (
            f"Share of an alarm's harvest that had gone before there was enough to test, over {len(shares)} campaigns: "
            f"median {np.median(shares):.1%}, nine in ten below {np.quantile(shares, 0.9):.1%}; "
            f"at most a tenth in {wilson(ten, len(shares))}."
        )
    replay = summary["replay"]
    early = sum(_gone(r) <= _EARLY for r in replay)
    middle = np.median([_gone(r) for r in replay]) if replay else 0.0
    table = []
    for r in replay:
        last = r["steps"][-1] if r["steps"] else None
        if last is None:
            continue
        false = max(s["false_alarms"] for s in r["steps"])
        table.append(
            [
                f"`{r['scenario']}`",
                str(r["seed"]),
                f"{r['scale']:g}",
                f"{r['log']['accounts']:,}",
                f"{r['log']['exchanges']:,}",
                f"day {last['day']} of {r['log']['days']}" if last["found"] else "not found",
                f"{last['leaked']:.1%}" if last["found"] else "-",
                str(false),
            ]
        )
    if not said and not table:
        return ""
    head = [
        "Scenario",
        "Seed",
        "Scale",
        "Accounts",
        "Exchanges",
        "First alarm",
        "Harvest gone by then",
        "False alarms on the way",
    ]
    replays = (
        f"""

Logs scanned again and again as they stood at the end of a day (`--as-of`), until an alarm of purity
{summary["lines"]["purity"]:g} holds half of the accounts that had harvested by then. The share is of the
true harvest, sent before the scan that raised it. `{HEADLINE}` is a small copy of a harvest of publicly alleged
size: the same rates and days with fewer accounts. Found in
{wilson(sum(bool(r["steps"]) and r["steps"][-1]["found"] for r in replay), len(replay))}
replays; before a tenth had gone in {early} of them. Median share gone: {middle:.1%}, all of it where there was no
alarm.

{table_of(head, table)}"""
        if table
        else ""
    )
    return f"## Time to detect\n\n{said}{replays}"


def cost(summary: Record) -> str:
    """What cover and detection cost an attacker."""
    groups: defaultdict[str, list[Record]] = defaultdict(list)
    for r in summary["campaigns"]:
        groups[r["scenario"]] += r["effort"]
    if not groups:
        return ""
    gone: defaultdict[str, list[float]] = defaultdict(list)
    for r in summary["replay"]:
        gone[r["scenario"]].append(_gone(r))
    table = []
    for name, efforts in sorted(groups.items()):
        sent, harvested, accounts = (sum(e[k] for e in efforts) for k in ("exchanges", "harvested", "accounts"))
        cover, share = sent / harvested, float(np.mean(gone[name])) if gone[name] else None
        table.append(
            [
                f"`{name}`",
                f"{accounts / (harvested / 1000):,.1f}",
                f"{cover:.2f}",
                f"{1 / share:,.1f}" if share else "-",
                f"{cover / share:,.1f}" if share else "-",
            ]
        )
    head = ["Scenario", "Accounts for 1,000 harvested exchanges", "By cover", "By detection", "Together"]
    return f"""## What it costs the attacker

Accounts needed for each useful exchange, relative to a campaign without cover that is never stopped. By cover:
exchanges of the campaign's accounts / harvested exchanges, which is 1 / (1 - share of cover). By detection:
1 / share of the harvest gone at the first alarm of the replays above, 1 where there was none. The product is the
multiplier. It leaves out what accounts, cards and addresses cost, and assumes that the whole campaign is stopped at its
first alarm and that the attacker does not answer.

{table_of(head, table)}"""


def _gone(replay: Record) -> float:
    """Share of a replayed harvest that was gone at the first alarm, 1 where there was none."""
    last = replay["steps"][-1] if replay["steps"] else None
    return float(last["leaked"]) if last is not None and last["found"] else 1.0
