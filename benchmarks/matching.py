"""Blinded matching at full size: processor time of the set-up and of a query, traffic, and exactness.

    python benchmarks/matching.py [--holder 1000000] [--asker 25000] [--out FILE.json]

One in ten of the asker's values is the holder's too. The first query makes the set-up and fetches it; the second finds
both kept. Times are seconds of processor time of this process, both sides together and each step apart. Beside it the
same is done with keyed hashes in the clear, which is what blinding is to be compared with: as fast as sets are, and it
shows every value to a holder of the key who guesses it.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from clonewatch.sharing.matching import blinding, epoch, kept_setups
from clonewatch.sharing.matching.blinding import Asker
from clonewatch.sharing.matching.values import Hasher

HERE = Path(__file__).resolve().parent
T = TypeVar("T")


def main() -> None:
    """Measure, print, and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--holder", type=int, default=1_000_000)
    parser.add_argument("--asker", type=int, default=25_000)
    parser.add_argument("--out", type=Path, default=HERE / "results" / "matching.json")
    asked = parser.parse_args()
    sys.path.insert(0, str(HERE))
    from scan import machine

    told: dict[str, Any] = {"machine": machine(), "holder": asked.holder, "asker": asked.asker}
    with tempfile.TemporaryDirectory() as place:
        told |= measured(Path(place), asked.holder, asked.asker)
    told["peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(json.dumps({name: held for name, held in told.items() if name != "machine"}, indent=1))
    asked.out.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")


def measured(folder: Path, holder: int, asker: int) -> dict[str, Any]:
    """Every step of a first query and of a later one."""
    steps: dict[str, float] = {}
    held = epoch.new("pact", "e1", epoch.today(), 30)
    hasher = Hasher(held)
    both = asker // 10
    theirs = [f"PAR{n}" for n in range(holder)]
    ours = [f"PAR{n}" for n in range(holder - both, holder - both + asker)]
    theirs_hashed = timed(steps, "holder_hashes", lambda: sorted(hasher.element("payment", one) for one in theirs))
    ours_hashed = timed(steps, "asker_hashes", lambda: [hasher.element("payment", one) for one in ours])
    timed(steps, "set_up", lambda: kept_setups.setups(folder, held, {"payment": theirs_hashed}))
    print(json.dumps(steps), flush=True)
    setup = timed(steps, "set_up_kept", lambda: kept_setups.setups(folder, held, {"payment": theirs_hashed}))["payment"]
    asking = timed(steps, "asker_blinds", lambda: Asker(ours_hashed, "which"))
    answer = timed(steps, "holder_answers", lambda: blinding.answered(setup.key, asking.request, "which"))
    found = timed(steps, "asker_looks", lambda: asking.matched(setup.message, answer))
    plain = timed(steps, "in_the_clear", lambda: set(ours_hashed) & set(theirs_hashed))
    query = sum(steps[name] for name in ("set_up_kept", "asker_blinds", "holder_answers", "asker_looks"))
    return {
        "cpu_seconds": {name: round(value, 3) for name, value in steps.items()},
        "first_query_cpu_seconds": round(query + steps["set_up"], 1),
        "later_query_cpu_seconds": round(query, 1),
        "exact": found == plain,
        "matched": len(plain),
        "wrong_match_chance": blinding.wrong_match(holder),
        "bytes": {"set_up": len(setup.message), "request": len(asking.request), "answer": len(answer)},
        "bytes_in_the_clear": holder * len(hashlib.sha256().digest()),
        "elements_per_cpu_second": round(holder / steps["set_up"]),
    }


def timed(steps: dict[str, float], name: str, work: Callable[[], T]) -> T:
    """What the work gives; its processor time is added to the steps."""
    began = time.process_time()
    made = work()
    steps[name] = time.process_time() - began
    return made


if __name__ == "__main__":
    main()
