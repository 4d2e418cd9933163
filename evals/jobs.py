"""The scan of one job: same log, same key, same result on every machine."""

from __future__ import annotations

import hashlib
from datetime import datetime
from pathlib import Path
from typing import Any

from clonewatch.pipeline.examine import ScanResult
from clonewatch.pipeline.scan import ScanSettings, scan
from evals.plan import Job

Record = dict[str, Any]


def run_scan(job: Job, folder: Path, *, out: str = "scan", as_of: datetime | None = None) -> ScanResult:
    """Scan `folder/log` into `folder/out`, on one thread, with a key that only the job decides."""
    key = folder / "key"
    if not key.exists():
        key.touch(mode=0o600)
        key.write_text(hashlib.sha256(f"{job.scenario} {job.seed}".encode()).hexdigest() + "\n", encoding="ascii")
    log = (str(folder / "log"),)
    return scan(ScanSettings(log, folder / out, key_file=key, threads=1, as_of=as_of))
