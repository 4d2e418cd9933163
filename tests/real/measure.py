"""Real software on loopback, and what Clonewatch reads of its logs: `python tests/real/measure.py --python PATH`.

Runs in Clonewatch's own environment; PATH is the Python of another one that holds `requirements.txt` of this folder.
Ends with status 1 where a value is read wrongly, or not read although it stands in the log.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

from comparing import MISSING, OTHER, RIGHT, Found, compared
from page import write
from runs import made, versions
from servers import ROOT, nginx_version

NOT_RUN = 3
_LONGEST = 400


def main() -> int:
    """Run, compare, say."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--python", required=True, type=Path, help="the Python that has LiteLLM and the SDKs")
    parser.add_argument("--out", type=Path, help="an empty folder for the logs (default: a temporary one)")
    parser.add_argument("--write", type=Path, help="the page to fill")
    told = parser.parse_args()
    if not nginx_version():
        sys.stderr.write("NOT RUN: real software. nginx is not installed\n")
        return NOT_RUN
    with tempfile.TemporaryDirectory() as temporary:
        out = told.out or Path(temporary)
        sources = made(told.python.absolute(), out)
        found = [compared(source) for source in sources]
    if told.write:
        write(told.write, sources, found, versions(told.python) | {"nginx": nginx_version()})
    return _said(found) | _walked(told.python)


def _walked(python: Path) -> int:
    """Type the page on decisions in LiteLLM, and let it push its payloads; 1 if that does not do what it shows."""
    files = ["tests/path/test_gateway_pages.py", "tests/path/test_live_litellm.py"]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *files]
    env = {**os.environ, "REAL_PYTHON": str(python.absolute()), "CLONEWATCH_WALK_LITELLM": "1"}
    return int(subprocess.run([*command, "-k", "litellm"], cwd=ROOT, env=env).returncode != 0)


def _said(found: Iterable[Found]) -> int:
    """Say what became of each source; 1 if a reader is at fault."""
    faults = 0
    for one in found:
        if not one.counts["call"][RIGHT]:
            faults += 1
            print(f"{one.source}: NOTHING WAS READ")
        print(f"{one.source}: " + ", ".join(f"{n} {verdict}" for verdict, n in sorted(one.total().items())))
        for (name, verdict), example in one.examples.items():
            if verdict != MISSING:
                faults += verdict != OTHER
                print(f"  {verdict}: {name}, {one.counts[name][verdict]} times: {example[:_LONGEST]}")
    print(f"{faults} faults of readers" if faults else "All that stands in the logs is read as it was sent.")
    return int(faults > 0)


if __name__ == "__main__":
    sys.exit(main())
