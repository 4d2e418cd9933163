"""Real software on loopback, and what Clonewatch reads of its logs: `python tests/real/measure.py --python PATH`.

Runs in Clonewatch's own environment; PATH is the Python of another one that holds `requirements.txt` of this folder.
Ends with status 1 where a value is read wrongly, or not read although it stands in the log.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

from comparing import FIELDS, OTHER, RIGHT, UNREAD, WRONG, Found, compared
from page import KNOWN, write
from runs import made, versions
from servers import nginx_version

MISSING_PROGRAM = 3


def main() -> int:
    """Run, compare, say."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--python", required=True, type=Path, help="the Python that has LiteLLM and the SDKs")
    parser.add_argument("--out", type=Path, help="an empty folder for the logs (default: a temporary one)")
    parser.add_argument("--write", type=Path, help="the page to fill")
    told = parser.parse_args()
    if not nginx_version():
        sys.stderr.write("NOT RUN: real software. nginx is not installed\n")
        return MISSING_PROGRAM
    with tempfile.TemporaryDirectory() as temporary:
        out = told.out or Path(temporary)
        sources = made(told.python.absolute(), out)
        found = [compared(source) for source in sources]
    if told.write:
        write(told.write, sources, found, versions(told.python) | {"nginx": nginx_version()})
    return _said(found)


def _said(found: Iterable[Found]) -> int:
    faults = 0
    for one in found:
        print(f"{one.source}: " + ", ".join(f"{n} {verdict}" for verdict, n in sorted(one.total().items())))
        for (name, verdict), example in one.examples.items():
            if verdict in (UNREAD, WRONG, OTHER):
                known = (one.source, name) in KNOWN
                faults += verdict != OTHER and not known
                count = one.counts[name][verdict]
                print(f"  {verdict.upper() if not known else verdict} {name} x{count}: {example[:400]}")
    print("everything is right that stands in the logs" if not faults else f"{faults} fields are read wrongly")
    return int(faults > 0)


if __name__ == "__main__":
    sys.exit(main())
