"""The parameters of one harvest: the ranges of its knobs, and the drawn values."""

from dataclasses import dataclass, fields

from clonewatch.lab.knobs import Knobs

Range = tuple[float, float]


@dataclass(frozen=True)
class PoolPlan:
    """The ranges from which the knobs of one harvest are drawn. Shares are 0..1, times in days unless named otherwise.

    accounts: number at scale 1 (least: at any scale). rate: requests of an account on a working day, cover included.
    uneven: standard deviation of the log of an account's share of the work. per_address, per_card, per_device: accounts
    that share one. egress: `pool` (rotating, shared), `own` (residential, one's own) or `hosting`. cover: share of
    requests that are not harvest; cover_from: `chat`, `customers` of a resale proxy, or `own`: what each account's
    holder asks, with habits. schedule: `closed`, `open` or `sessions`. created: sign-up days against the window. split:
    parts that share nothing but the list of questions. ban: chance of a ban per day. replace_hours: until the next
    account takes over. wave: all accounts banned at once at this share of the window. later: further pools that take up
    the same list of questions with an infrastructure of their own, as the day on which each begins and its number of
    accounts. customers: honest people behind the same addresses at scale 1. react: share that moves to the new model
    within a day of release. public_builds: chance that the pool's client builds are those of the public; no public
    figure is known.
    """

    accounts: Range
    rate: Range
    least: int = 12
    templates: Range = (3, 30)
    paraphrase: Range = (0.0, 0.2)
    rollouts: Range = (1, 1)
    varied: bool = False
    popular: Range = (0.0, 0.0)
    shards: Range = (0, 0)
    cover: Range = (0.0, 0.1)
    cover_from: str = "chat"
    uneven: Range = (0.15, 0.15)
    schedule: str = "closed"
    turn_taking: bool = False
    flat: bool = True
    egress: str = "pool"
    per_address: Range = (4, 15)
    lease_days: int = -1
    per_card: Range = (5, 40)
    per_device: Range = (3, 20)
    builds: Range = (1, 5)
    public_builds: float = 0.5
    created: Range = (-20, 1)
    bursts: bool = True
    throwaway: float = 0.5
    anchors: float = 0.0
    split: int = 1
    ban: Range = (0.0, 0.004)
    replace_hours: Range = (2, 48)
    wave: float = 0.0
    later: tuple[tuple[float, int], ...] = ()
    first_day: Range = (0, 3)
    last: Range = (1.0, 1.0)
    ramp: Range = (0, 3)
    react: Range = (0.2, 0.6)
    tasks: tuple[str, ...] = ("software_engineering", "agentic_tool_use", "reasoning", "data_analysis")
    width: Range = (200, 900)
    elicitation: Range = (0.45, 0.9)
    formatted: Range = (0.5, 1.0)
    outputs: Range = (700, 1400)
    mimic: bool = False
    countries: Range = (2, 5)
    customers: Range = (0, 0)
    task: str = ""
    clean: float = 0.0
    replay: float = 0.0
    probing: float = 0.0
    system: float = 0.6
    programme: Range = (0.0, 0.25)


class Drawn:
    """A plan and its knobs after drawing; names are those of the fields of `PoolPlan`."""

    def __init__(self, plan: PoolPlan, knobs: Knobs) -> None:
        self.plan = plan
        self.values: dict[str, float] = {}
        for part in fields(plan):
            value = getattr(plan, part.name)
            if isinstance(value, tuple) and len(value) == 2 and isinstance(value[0], int | float):
                low, high = float(value[0]), float(value[1])
                self.values[part.name] = low if low == high else knobs.real(part.name, low, high)

    def __getitem__(self, name: str) -> float:
        return self.values[name]
