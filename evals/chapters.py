"""Chapters of the evaluation page on campaigns: what was found, what was missed, when, and at what cost."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import numpy as np

from evals.intervals import exact, wilson
from evals.jobs import HEADLINE, MIMIC, MIXING
from evals.wording import Record, of_whole, part_of, plain, scales_of, span, table_of, total

_POOLS = ("p1_thin_pool", "p2_fat_pool")
_EARLY = 0.1  # share of a harvest before which an alarm is early
_MISSES = 40  # missed campaigns that are listed one by one


def by_scenario(summary: Record) -> str:
    """One row per scenario and scale."""
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
                part_of(caught, caught + total(rows, "honest_flagged")),
                part_of(caught, total(rows, "members")),
                of_whole(rows, "honest_flagged", "honest"),
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
        "Not stopped, at best",
    ]
    merged = total(summary["campaigns"], "merged")
    alarms = [n for r in summary["campaigns"] for n in r["alarms_per_campaign"]]
    blind = sum(r["blind"] for r in summary["campaigns"])
    stable = [v for r in summary["campaigns"] for v in r["stability"]]
    return f"""## By scenario

<<recall>>

{table_of(head, table)}

*Not stopped, at best* is the share of true harvested exchanges that no response to the alarms could have stopped. They
were sent before there was enough evidence to test the campaign (`visible_ts`), or by accounts outside every alarm. The
share is averaged over campaigns; an alarm without such a time stops nothing ({blind} such). Enough evidence to test is
not enough to flag: the replays under [time to detect](#time-to-detect) say when an alarm was raised.
Alarms that cover two campaigns: {merged}. Alarms per campaign with at least one: {np.mean(alarms or [0]):.2f} on
average, {max(alarms, default=0)} at most ({sum(n > 1 for n in alarms)} of {len(alarms)} campaigns have more than one).{
        f" Stability of groups under other seeds of the clustering: median {np.median(stable):.2f}." if stable else ""
    }"""


def missed(summary: Record) -> str:
    """The campaigns that were not found, and how much of each the scan reported."""
    rows = [(r, m) for r in summary["campaigns"] + summary["mimic"] for m in r["missed"]]
    seen: dict[tuple[Any, ...], list[str]] = {}
    for r, m in rows:
        if not m["members_reported"]:
            how = "no reported group contains any of its accounts"
        else:
            state = "flagged" if m["flagged"] else "reported but not flagged"
            how = f"its largest group, {state}, contains {m['members_reported']} of its accounts; "
            how += f"purity {m['purity']:.2f}, score {m['score']:.1f} bits"
        key = (m["campaign"], r["seed"], r["scale"])
        seen[key] = [f"`{m['campaign']}`", str(r["seed"]), f"{r['scale']:g}", str(m["accounts"]), how]
    if not seen:
        return "## What was missed\n\nEvery campaign was found." if summary["campaigns"] else ""
    listed = [seen[key] for key in sorted(seen)]
    rest = f"\n\nAnd {len(listed) - _MISSES} more." if len(listed) > _MISSES else ""
    return f"""## What was missed

{table_of(["Campaign", "Seed", "Scale", "Accounts", "What the scan reported"], listed[:_MISSES])}{rest}"""


def mixing(summary: Record) -> str:
    """Proxies that mix a harvest with the traffic of honest customers."""
    table = []
    for name in MIXING:
        rows = [r for r in summary["campaigns"] if r["scenario"] == name]
        if not rows:
            continue
        attributed, hit = total(rows, "attributed"), total(rows, "honest_hit")
        customers, flagged = (sum(r["proxy_customers"][i] for r in rows) for i in (0, 1))
        table.append(
            [
                f"`{name}`",
                f"{np.mean([c for r in rows for c in r['cover']] or [np.nan]):.0%}",
                of_whole(rows, "found", "campaigns"),
                plain(attributed - hit, attributed),
                plain(attributed - hit, total(rows, "harvested")),
                plain(hit, sum(r["honest_exchanges"] or 0 for r in rows)),
                f"{flagged} of {customers:,}",
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
        "Proxy customers flagged",
    ]
    return f"""## Mixing proxies

The accounts of these campaigns also carry the traffic of paying customers. The verdict on an account therefore says
little, and the verdict on each exchange matters. *Cover* is the share of the accounts' requests that is not harvest.

{table_of(head, table)}"""


def mimic(summary: Record) -> str:
    """The campaign that hides among the users of a popular agent."""
    rows = summary["mimic"]
    if not rows:
        return ""
    found = wilson(total(rows, "found"), total(rows, "campaigns"))
    caught = wilson(total(rows, "caught"), total(rows, "members"))
    return f"""## The agent mimic

`{MIMIC}` uses the prompts, tools and user agent of a popular coding agent, so it shares most attributes with honest
users. Found on {found} of the seeds {span(r["seed"] for r in rows)}, scale
{scales_of(rows)}. Accounts flagged: {caught}. Honest accounts flagged:
{exact(total(rows, "honest_flagged"), total(rows, "honest"))}."""


def pools(summary: Record) -> str:
    """Many accounts that send little against few that send much."""
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
        "Accounts per campaign",
        "Requests per account per day",
        "Found",
        "Accounts flagged",
        "Not stopped, at best",
    ]
    return f"## Thin and fat pools\n\n{table_of(head, table)}"


def large(summary: Record) -> str:
    """Logs of about 50,000 accounts, one row each."""
    table = [
        [
            f"`{r['scenario']}`",
            str(r["seed"]),
            f"{r['accounts']:,}",
            f"{r['exchanges']:,}",
            f"{r['found']} of {r['campaigns']}",
            str(r["false_alarms"]),
            part_of(r["caught"], r["members"]),
            f"{r['honest_flagged']} of {r['honest']:,}",
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
    """How much of a harvest has been sent when it becomes visible, and when it is flagged."""
    shares = sorted(v for r in summary["campaigns"] for v in r["before"])
    said = ""
    if shares:
        ten = sum(v <= _EARLY for v in shares)
        said = (
            f"Share of an alarm's harvest that was sent before there was enough evidence to test, over {len(shares)} "
            f"campaigns: median {np.median(shares):.1%}, 90th percentile {np.quantile(shares, 0.9):.1%}; "
            f"at most 10% in {wilson(ten, len(shares))}."
        )
    replay = summary["replay"]
    early = sum(_sent_share(r) <= _EARLY for r in replay)
    middle = np.median([_sent_share(r) for r in replay]) if replay else 0.0
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
        "Harvest sent by then",
        "False alarms before it",
    ]
    replays = (
        f"""

Each log is scanned repeatedly as of increasing times (`--as-of`), until an alarm of purity
{summary["criteria"]["purity"]:g} contains half of the accounts that had harvested by then. The last but one column is
the share of the true harvest that was sent before the scan that raised the alarm. `{HEADLINE}` is a scaled-down harvest
of publicly alleged size: the same rates and days with fewer accounts. Found in
{wilson(sum(bool(r["steps"]) and r["steps"][-1]["found"] for r in replay), len(replay))}
replays; before 10% was sent in {early} of them. Median share sent: {middle:.1%}, where a replay without an alarm counts
as 100%.

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
    sent_by_alarm: defaultdict[str, list[float]] = defaultdict(list)
    for r in summary["replay"]:
        sent_by_alarm[r["scenario"]].append(_sent_share(r))
    table = []
    for name, efforts in sorted(groups.items()):
        sent, harvested, accounts = (sum(e[k] for e in efforts) for k in ("exchanges", "harvested", "accounts"))
        cover, share = sent / harvested, float(np.mean(sent_by_alarm[name])) if sent_by_alarm[name] else None
        table.append(
            [
                f"`{name}`",
                f"{accounts / (harvested / 1000):,.1f}",
                f"{cover:.2f}",
                f"{1 / share:,.1f}" if share else "-",
                f"{cover / share:,.1f}" if share else "-",
            ]
        )
    head = ["Scenario", "Accounts per 1,000 harvested exchanges", "By cover", "By detection", "Together"]
    return f"""## What it costs the attacker

How many more accounts an attacker needs per harvested exchange than a campaign without cover that is never stopped. By
cover: exchanges of the campaign's accounts / harvested exchanges, which is 1 / (1 - share of cover). By detection:
1 / share of the harvest sent at the first alarm of the replays above, 1 where there was none. *Together* is the
product. It ignores the price of accounts, cards and addresses, and assumes that the first alarm stops the whole
campaign and that the attacker does not react.

{table_of(head, table)}"""


def _sent_share(replay: Record) -> float:
    """Share of a replayed harvest that was sent by the first alarm, 1 where there was none."""
    last = replay["steps"][-1] if replay["steps"] else None
    return float(last["leaked"]) if last is not None and last["found"] else 1.0
