"""One world from one seed, as a log folder. The same seed gives the same bytes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from evals.third_generator import ranges
from evals.third_generator.crowds import gather
from evals.third_generator.export import export
from evals.third_generator.harvest import campaigns
from evals.third_generator.honest import businesses, people
from evals.third_generator.world import World


def generate(seed: int, folder: Path, size: float = 1.0) -> dict[str, Any]:
    """Write exchanges, accounts, events and labels of a world; returns its description. size: factor on its people."""
    world = World(seed)
    wanted = round(world.log_uniform(*ranges.HONEST_ACCOUNTS) * size)
    crowds = gather(world)
    companies = round(wanted * world.random.uniform(*ranges.BUSINESSES))
    businesses(world, companies)
    people(world, max(0, wanted - len(world.accounts)))
    harvests = campaigns(world)
    _forget_silent(world)
    _ordinary_bans(world)
    return export(world, folder) | {"crowds": crowds, "campaigns": harvests}


def _forget_silent(world: World) -> None:
    """Accounts without a call stay out of the log."""
    heard = {c.account for c in world.calls}
    world.accounts = {k: a for k, a in world.accounts.items() if k in heard}
    world.events = [e for e in world.events if e.get("account_id") in heard]


def _ordinary_bans(world: World) -> None:
    """Accounts banned for something else: their last call came before."""
    last: dict[str, float] = {}
    for call in world.calls:
        last[call.account] = max(call.ts, last.get(call.account, 0.0))
    lone = sorted(a.id for a in world.accounts.values() if a.role == "benign")
    for account in world.random.sample(lone, len(lone) // 150):
        world.events.append(
            {"ts": last[account] + world.random.expovariate(1 / 40_000), "kind": "ban", "account_id": account}
        )
