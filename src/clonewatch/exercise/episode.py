"""One episode of an exercise: a simulated log, scans as of days, what a policy does about them, and the reaction."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from clonewatch.exercise.analysts import MEMBER, rulings, standing
from clonewatch.exercise.measures import Measure, chance, measures, strictest
from clonewatch.exercise.policies import relaxed
from clonewatch.exercise.task import Group, Outcome, Task
from clonewatch.lab.adversary.harvest import Harvested, harvest
from clonewatch.lab.adversary.translation import scenario
from clonewatch.lab.limits import Limit
from clonewatch.lab.rows import DAY
from clonewatch.lab.simulate import simulate
from clonewatch.lab.world import START
from clonewatch.pipeline.scan import ScanSettings, scan
from clonewatch.pipeline.scan_result import ScanResult
from clonewatch.policy.backtest import CASE as MINUTES_OF_A_CASE
from clonewatch.policy.backtest import MINUTES, Kept, backtest
from clonewatch.policy.groups import Ruled, members
from clonewatch.policy.matching import BYSTANDER, Member, matched

_NAME = "exercise"
_MEMORY = "500MB"
_HALF = 0.5


def play(task: Task, key_file: Path, threads: int = 1) -> Outcome:
    """Play one episode. key_file: of the scans' hashes, created on first use. threads: of the engine.

    Needs the extra `policy`. Writes only to a temporary folder.
    """
    with tempfile.TemporaryDirectory(prefix="clonewatch-exercise-") as folder:
        loop = _Loop(task, Path(folder), key_file, threads)
        for day in task.checks:
            loop.check(day)
        return loop.outcome()


class _Loop:
    """The state of an episode. Days are those of the window, from 0, unless they are called days of the campaign."""

    def __init__(self, task: Task, folder: Path, key_file: Path, threads: int) -> None:
        self.task, self.folder, self.key_file, self.threads = task, folder, key_file, threads
        self.policy = relaxed(task.policy, task.relaxed)
        self.limits: dict[str, list[Limit]] = {}
        self.later: list[tuple[float, int]] = []
        self.taken: dict[str, Measure] = {}
        self.ruled: list[Ruled] = []
        self.kept: list[Kept] = []
        self.groups: list[Group] = []
        self.trusted: list[float] = []
        self.worths: dict[str, tuple[float, float]] = {}
        self._number = 0
        self.log = self._simulated()
        self.free = self.log
        self.first_pool = harvest(self.log).members
        self._warn(self.first_pool, float(task.setting.quiet))

    def check(self, day: int) -> None:
        """Scan the log as of a day of the campaign, rule, decide, and let both sides act."""
        window_day = self.task.setting.quiet + day
        result = self._scanned(window_day)
        rows = {name: result.tables[name].to_pylist() for name in ("campaigns", "members", "timeline")}
        last = datetime.fromisoformat(result.summary["window"]["last"])
        held = members(rows["campaigns"], rows["members"], last, self.ruled)
        groups: dict[str, frozenset[str]] = {}
        for one in held:
            if one.facts["role"] != BYSTANDER:
                groups[one.group] = groups.get(one.group, frozenset()) | {one.account}
        self.trusted.append(float(result.summary["trust"]["share"] or 0.0))
        self._remember(day, rows, groups, held, last)
        known = last + timedelta(days=self.task.cards["decision_days"])
        new = rulings(self.task, rows["campaigns"], groups, self.roles, self.ruled, known)
        self.ruled += new
        then = members(rows["campaigns"], rows["members"], last, self.ruled)
        found = strictest([*matched(self.policy, held).matches, *matched(self.policy, then).matches])
        rates = {row["account_id"]: self._rate(row, last) for row in rows["members"]}
        self._act(measures(self.task, found, held, float(window_day), rates))

    def outcome(self) -> Outcome:
        """What came of it."""
        end = harvest(self.log)
        task, quiet = self.task, self.task.setting.quiet
        contained = self._contained()
        before = end.useful if contained is None else int(np.count_nonzero(end.days < contained))
        hydra = sum(one not in self.first_pool for one in end.account)
        honest, blocked, exchanges = self._collateral()
        minutes = len(self.ruled) * MINUTES[MINUTES_OF_A_CASE]
        minutes += sum(MINUTES[one.rule.action.name] for one in self.taken.values())
        told = backtest(self.policy, self.kept, self.ruled)
        mine = [one for one in self.groups if not one.honest]
        acts = [one.day for one in self.taken.values() if self.roles.get(one.account) == MEMBER]
        return Outcome(
            useful=end.useful,
            before=before,
            hydra=hydra,
            worth=self._worth(end),
            harvested=end.harvested,
            requests=end.requests,
            first=len(self.first_pool),
            opened=len(end.members),
            pools=1 + len(self.later),
            checked=sum(one.checked for one in self.taken.values() if self.roles.get(one.account) == MEMBER),
            listed=min((one.day for one in mine), default=None),
            flagged=min((one.day for one in mine if one.outcome == "flagged"), default=None),
            acted=min(acts) - quiet if acts else None,
            contained=None if contained is None else contained - quiet,
            honest=honest,
            blocked=blocked,
            honest_accounts=sum(role != MEMBER for role in self.roles.values()),
            honest_exchanges=exchanges,
            rulings=len(self.ruled),
            minutes=minutes,
            claimed=sum(one.preventable for one in told.campaigns) if task.strategy else 0,
            groups=self.groups,
            trusted=sum(self.trusted) / len(self.trusted) if self.trusted else 0.0,
        )

    @cached_property
    def roles(self) -> dict[str, str]:
        """The role of every account, by the labels of the newest log."""
        labels = pq.read_table(self.log / "labels" / "accounts.parquet", columns=["account_id", "role"])
        return dict(zip(labels["account_id"].to_pylist(), labels["role"].to_pylist(), strict=True))

    def _simulated(self) -> Path:
        self._number += 1
        out = self.folder / f"log-{self._number}"
        made = scenario(self.task.setting, self.task.strategy, self.later)
        simulate(_NAME, out, seed=self.task.seed, known={_NAME: made}, limits=self.limits)
        self.__dict__.pop("roles", None)
        return out

    def _scanned(self, window_day: int) -> ScanResult:
        as_of = datetime.fromtimestamp(START / 1_000_000, UTC) + timedelta(days=window_day)
        return scan(
            ScanSettings(
                paths=(str(self.log),), as_of=as_of, memory=_MEMORY, threads=self.threads, key_file=self.key_file
            )
        )

    def _rate(self, row: Mapping[str, Any], last: datetime) -> float:
        """Requests a day of an account since its first one."""
        days = max(1.0, (last - row["first_ts"]).total_seconds() / 86_400) if row["first_ts"] else 1.0
        return float(row["exchanges"] or 0) / days

    def _remember(
        self,
        day: int,
        rows: Mapping[str, list[dict[str, Any]]],
        groups: Mapping[str, frozenset[str]],
        held: list[Member],
        last: datetime,
    ) -> None:
        harvested: dict[str, dict[datetime, int]] = {}
        for row in rows["timeline"]:
            days = harvested.setdefault(row["campaign_id"], {})
            days[row["day"]] = days.get(row["day"], 0) + row["harvested"]
        self.kept.append(Kept(last, held, rows["members"], harvested))
        for row in rows["campaigns"]:
            group = groups.get(row["campaign_id"], frozenset())
            if group:
                honest, kind = standing(group, self.roles)
                ratio = float(row["threshold_ratio"] or 0.0)
                self.groups.append(Group(day, row["outcome"], ratio, len(group), honest, kind))

    def _act(self, begun: list[Measure]) -> None:
        """Both sides act: limits begin, and what was banned is replaced while there are replacements."""
        end = self.task.setting.quiet + self.task.setting.days
        banned: list[float] = []
        changed = False
        for one in begun:
            held = self.taken.get(one.account)
            if one.day >= end or (held is not None and (held.keep, held.worth) <= (one.keep, one.worth)):
                continue
            self.taken[one.account] = one
            if one.worth < 1.0:
                self.worths[one.account] = (one.day, one.worth)
            if one.keep < 1.0:
                self.limits.setdefault(one.account, []).append(Limit(one.day, one.keep))
                changed = True
                if one.keep <= 0 and self.roles.get(one.account) == MEMBER:
                    banned.append(one.day)
        if banned:
            self._replace(banned, end)
        if changed:
            self.log = self._simulated()

    def _replace(self, banned: list[float], end: int) -> None:
        strategy = self.task.strategy
        if strategy is None:
            return
        left = round(strategy.reserve * len(self.first_pool)) - sum(size for _, size in self.later)
        size = min(len(banned), left)
        hours = max(strategy.replace_hours, self.task.cards["replacement_hours"])
        day = sum(banned) / len(banned) + hours / 24
        if size > 0 and day < end:
            before = set(self.roles)
            self.later.append((day, size))
            if self.task.warned:
                self.log = self._simulated()
                self._warn(frozenset(self.roles) - before, day)

    def _warn(self, accounts: frozenset[str], begins: float) -> None:
        """Suspend what another provider's indicators recognise of a new pool."""
        warned = self.task.warned
        if not warned or not accounts:
            return
        rule = next((one for one in self.policy.rules if one.action.name == "suspend"), self.policy.rules[0])
        known = sorted(one for one in accounts if chance("shared", self.task.seed, one) < warned.share)
        self._act([Measure(one, "shared", rule, begins + warned.days, 0.0) for one in known])

    def _contained(self) -> float | None:
        """When half of the first pool was down to less than half of its requests."""
        days = sorted(
            min(one.day for one in self.limits[account] if one.keep < _HALF)
            for account in self.first_pool
            if any(one.keep < _HALF for one in self.limits.get(account, ()))
        )
        needed = -(-len(self.first_pool) // 2)
        return days[needed - 1] if self.first_pool and len(days) >= needed else None

    def _worth(self, end: Harvested) -> float:
        worth = float(end.useful)
        for day, account in zip(end.days, end.account, strict=True):
            since, share = self.worths.get(account, (float("inf"), 1.0))
            worth -= (1 - share) if day >= since else 0.0
        return worth

    def _collateral(self) -> tuple[dict[str, dict[str, int]], dict[str, float], int]:
        """Honest accounts under a measure by role and action, their exchanges not served by role, and all there are."""
        table = pq.read_table(self.free / "exchanges", columns=["account_id", "ts"])
        account = np.array(table["account_id"].to_pylist(), dtype=object)
        day = (table["ts"].cast("int64").to_numpy() - START) / DAY
        mine = np.isin(account, list(self.first_pool))
        honest: dict[str, dict[str, int]] = {}
        blocked: dict[str, float] = {}
        for name, one in self.taken.items():
            role = self.roles.get(name, MEMBER)
            if role == MEMBER:
                continue
            by = honest.setdefault(role, {})
            action = "suspend" if one.keep <= 0 else one.rule.action.name
            by[action] = by.get(action, 0) + 1
            lost = float(np.count_nonzero((account == name) & (day >= one.day)) * (1 - one.keep))
            blocked[role] = blocked.get(role, 0.0) + lost
        return honest, blocked, int(np.count_nonzero(~mine))
