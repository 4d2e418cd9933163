"""The jobs of an evaluation by size, the held-out seeds, and the scan of one job."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from clonewatch.lab.simulate import scenarios
from clonewatch.pipeline.examine import examine
from clonewatch.pipeline.scan import ScanSettings, scan
from clonewatch.pipeline.scan_result import ScanResult

Record = dict[str, Any]

# Seeds below 100 and from 5000 to 5999 belong to development and calibration; figures are reported on these alone.
FIRST_SEED, FIRST_QUIET_SEED = 351, 1401
DEVELOP_SEED, DEVELOP_QUIET_SEED = 1, 5001
# A random number of every look-alike and no harvest: every alarm on such a log is false.
QUIET = "quiet_mixed"
HEADLINE, MIXED = "headline", "mixed"
MIMIC = "s05_agent_mimic"
# A naive harvest, a mixing proxy, a stealthy harvest, a mimic, and the two that scans miss most often.
RIVALLED = (
    "s01_shared_cards",
    "s02_mixing_proxy",
    "s04_stealth",
    "s05_agent_mimic",
    "s12_disjoint_cells",
    "p2_fat_pool",
)
MIXING = ("s02_mixing_proxy", "s03_mixing_proxy_95", "p5_reseller_stratum")
# The name of this scan in comparisons with other methods.
OURS = "this scan"
SIZES = ("small", "full")


@dataclass(frozen=True, order=True)
class Job:
    """One log to generate and one measurement on it, in its own process.

    kind: `scan` (scan and score), `rivals` (other methods and the oracles on the same log) or `replay` (scans as of
    increasing times). scale: factor on the number of accounts.

    >>> Job("scan", "quiet", 3, 0.25).name
    'scan-quiet-3-0.25'
    """

    kind: str
    scenario: str
    seed: int
    scale: float

    @property
    def name(self) -> str:
        """The name under which its result is kept."""
        return f"{self.kind}-{self.scenario}-{self.seed}-{self.scale:g}"

    @property
    def weight(self) -> float:
        """Roughly how long it takes relative to others, for the estimate of the time left."""
        size = self.scale * {HEADLINE: 100, MIXED: 10}.get(self.scenario, 1)
        return (0.3 + size) * {"scan": 1.0, "rivals": 6.0, "replay": 6.0}[self.kind]

    def as_dict(self) -> dict[str, str | int | float]:
        """Its fields by name."""
        return asdict(self)


def plan(size: str, *, develop: bool = False) -> dict[str, list[Job]]:
    """The jobs of a size by set, most informative first; a job may be in two sets.

    develop: the development seeds; nothing measured on them is reported.

    >>> sorted(plan("small"))
    ['campaigns', 'mimic', 'quiet', 'replay', 'rivals']
    """
    first, quiet = (DEVELOP_SEED, DEVELOP_QUIET_SEED) if develop else (FIRST_SEED, FIRST_QUIET_SEED)
    if size == "small":
        names = [*numbered("s"), "p1_thin_pool", "p2_fat_pool"]
        return {
            "campaigns": [Job("scan", name, first, 0.3) for name in names],
            "mimic": [Job("scan", MIMIC, first + i, 0.3) for i in range(3)],
            "quiet": _quiet(quiet, 20, 0.1, 1.0),
            "rivals": [Job("rivals", name, first, 0.3) for name in RIVALLED],
            "replay": [*(Job("replay", name, first, 0.3) for name in names), Job("replay", HEADLINE, first, 0.004)],
        }
    if size != "full":
        raise ValueError(f"no size {size!r}: {', '.join(SIZES)}")
    # The largest scale takes longest, so it has one seed.
    scales = {0.5: 3, 0.1: 1, 1.0: 1}
    names = [*numbered("s"), *numbered("p")]
    return {
        "campaigns": [
            Job("scan", name, first + i, at) for at, seeds in scales.items() for i in range(seeds) for name in names
        ],
        "mimic": [Job("scan", MIMIC, first + i, 0.5) for i in range(10)],
        "quiet": _quiet(quiet, 100, 0.1, 1.0),
        "rivals": [Job("rivals", name, first, 0.5) for name in RIVALLED],
        # About 50,000 accounts each: four harvests among every look-alike; a harvest as publicly alleged.
        "large": [Job("scan", MIXED, first, 1.0), Job("scan", HEADLINE, first, 0.1)],
        "replay": [
            *(Job("replay", HEADLINE, first + i, 0.01) for i in range(2)),
            *(Job("replay", name, first, 0.3) for name in numbered("s")),
        ],
    }


def run_scan(
    job: Job,
    folder: Path,
    *,
    out: str = "scan",
    as_of: datetime | None = None,
    examine: Callable[..., ScanResult] = examine,
) -> ScanResult:
    """Scan `folder/log` into `folder/out`, on one thread, with a key that depends only on the job."""
    key = folder / "key"
    if not key.exists():
        key.touch(mode=0o600)
        key.write_text(hashlib.sha256(f"{job.scenario} {job.seed}".encode()).hexdigest() + "\n", encoding="ascii")
    log = (str(folder / "log"),)
    return scan(ScanSettings(log, folder / out, key_file=key, threads=1, as_of=as_of), examine=examine)


def numbered(letter: str) -> list[str]:
    """The scenarios whose names start with this letter and a digit."""
    return [name for name in scenarios() if name[0] == letter and name[1].isdigit()]


def _quiet(first: int, count: int, low: float, high: float) -> list[Job]:
    """Attack-free logs, one per seed, at log-uniform scales."""
    scales = np.exp(np.random.default_rng(first).uniform(np.log(low), np.log(high), count)).round(3)
    return [Job("scan", QUIET, first + i, float(scale)) for i, scale in enumerate(scales)]
