"""Everything that the tutorial and the pages on cases and appeals tell a reader to type is typed, and prints as shown.

`make golden` writes the shown outputs anew. A line `...` in an output stands for lines that are left out.
"""

import difflib
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGE = DOCS / "tutorial.md"
PAGES = [PAGE, *(DOCS / "using" / f"{name}.md" for name in ("cases", "appeals"))]
SKIPPED = "<!-- not run by the test -->"
OMITTED = "..."
# Hashes depend on the key, and every reader has their own.
KEYED = re.compile(r"(?<![-\w])[0-9a-f]{16}(?!\w)")
# What is done to cases is done now.
NOW = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ|(?<= by bob on )\d+ \w+ \d{4}")
# A changed line is taken for the shown one, when outputs are written anew, if it is at least this similar.
LEAST_SIMILAR = 0.4


class Block(NamedTuple):
    """A fenced block: its language ("" for commands), the file that its title names, its text and where that begins."""

    language: str
    title: str
    text: str
    start: int


def blocks(page: str) -> list[Block]:
    """The fenced blocks of a page that the test runs or compares."""
    found = []
    for match in re.finditer(r'^```(\w*)(?: title="([^"]+)")?\n(.*?)^```$', page, re.M | re.S):
        if not page[: match.start()].rstrip().endswith(SKIPPED):
            found.append(Block(match[1], match[2] or "", match[3], match.start(3)))
    return found


def run(block: Block, folder: Path) -> str:
    """What the commands or the program of a block print."""
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "CLONEWATCH_KEY_FILE": str(folder / "fingerprint.key"),
    }
    command = [sys.executable, "-c", block.text] if block.language == "python" else ["sh", "-ec", block.text]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, f"{block.text}\n{done.stderr}"
    return done.stdout


def plain(line: str) -> str:
    """A line without what differs from reader to reader."""
    return NOW.sub("now", KEYED.sub("0" * 16, line)).rstrip()


def is_shown(shown: str, printed: str) -> bool:
    """Whether the shown lines are those printed, apart from the omitted ones."""
    pattern = "".join(
        r"(?:.*\n)*?" if line == OMITTED else re.escape(plain(line)) + r"\n" for line in shown.splitlines()
    )
    return re.fullmatch(pattern, "".join(f"{plain(line)}\n" for line in printed.splitlines())) is not None


def shown_anew(shown: str, printed: str) -> str:
    """The shown lines as they are printed now: each replaced by the most similar one after the one before."""
    left, lines = printed.splitlines(), []
    for line in shown.splitlines():
        if line != OMITTED:
            similar = [difflib.SequenceMatcher(None, line, other).ratio() for other in left]
            assert similar and max(similar) >= LEAST_SIMILAR, f"nothing like it is printed now: {line}"
            place = similar.index(max(similar))
            line, left = left[place], left[place + 1 :]
        lines.append(line)
    return "".join(f"{line}\n" for line in lines)


@pytest.mark.parametrize("place", PAGES, ids=lambda p: p.stem)
def test_every_step_of_a_page_works_and_prints_what_is_shown(place: Path, tmp_path: Path) -> None:
    page = place.read_text(encoding="utf-8")
    writing, fresh, moved = os.environ.get("CLONEWATCH_GOLDEN") == "write", page, 0
    printed = ""
    for block in blocks(page):
        if block.title:
            (tmp_path / block.title).write_text(block.text, encoding="utf-8")
        elif block.language in ("", "python"):
            printed = run(block, tmp_path)
        elif writing:
            text = block.text if is_shown(block.text, printed) else shown_anew(block.text, printed)
            start = block.start + moved
            fresh = fresh[:start] + text + fresh[start + len(block.text) :]
            moved += len(text) - len(block.text)
        else:
            assert is_shown(block.text, printed), f"the page shows\n{block.text}\nand this was printed\n{printed}"
    if writing:
        place.write_text(fresh, encoding="utf-8")
        pytest.skip("outputs written anew")


def test_the_tutorial_has_every_step_that_it_promises() -> None:
    commands = "\n".join(block.text for block in blocks(PAGE.read_text(encoding="utf-8")) if block.language == "")
    for step in ("simulate", "scan", "campaigns", "show", "why", "doctor"):
        assert f"clonewatch {step} " in commands, step
    assert any(block.language == "python" for block in blocks(PAGE.read_text(encoding="utf-8")))


def test_an_output_that_changed_is_noticed_and_can_be_written_anew() -> None:
    shown, printed = "a  1\n...\nscore 7.7 bans\n", "a  1\nb  2\nscore 25.6 bits\nc  3\n"
    assert not is_shown(shown, printed)
    assert not is_shown("a  1\n", printed)
    fresh = shown_anew(shown, printed)
    assert fresh == "a  1\n...\nscore 25.6 bits\n"
    assert is_shown(f"{fresh}...\n", printed)


def test_keyed_values_may_differ_and_ids_may_not() -> None:
    assert is_shown("x 0123456789abcdef 3\n", "x fedcba9876543210 3\n")
    assert not is_shown("acct-0123456789abcdef\n", "acct-fedcba9876543210\n")
