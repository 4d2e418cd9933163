"""The table of outcomes in docs/hardening.md: run `python -m tests.hostile.page` after inputs were added."""

from __future__ import annotations

import re
import tempfile
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from tests.hostile.inputs import CASES, prepare
from tests.hostile.running import OUTCOMES, judged, run

PAGE = Path(__file__).resolve().parents[2] / "docs" / "hardening.md"
MARKS = re.compile(r"(<!-- outcomes -->\n).*?(<!-- end -->)", re.DOTALL)


def outcomes(folder: Path) -> dict[str, str]:
    """The outcome of every input, by name."""
    prepare(folder)
    return {name: judged(CASES[name].expected, answer) for name, answer in run(list(CASES), folder)}


def table(found: dict[str, str]) -> str:
    """The outcomes by family."""
    families: dict[str, Counter[str]] = {}
    for name, one in CASES.items():
        families.setdefault(one.family, Counter())[found[name]] += 1
    lines = [("inputs", "number", *OUTCOMES), ("---",) * (2 + len(OUTCOMES))]
    lines += [_line(family, counts) for family, counts in families.items()]
    return "".join(f"| {' | '.join(line)} |\n" for line in [*lines, _line("all", sum(families.values(), Counter()))])


def _line(name: str, counts: Counter[str]) -> tuple[str, ...]:
    return (name, str(counts.total()), *(str(counts[outcome]) for outcome in OUTCOMES))


def written() -> str:
    """The table as the page has it."""
    found = MARKS.search(PAGE.read_text(encoding="utf-8"))
    assert found is not None, "docs/hardening.md has no mark"
    return found[0].removeprefix(found[1]).removesuffix(found[2])


def bad(found: dict[str, str], but: Iterable[str] = ("right", "unclear")) -> dict[str, str]:
    """The inputs with another outcome."""
    return {name: outcome for name, outcome in found.items() if outcome not in but}


def main() -> None:
    """Run all inputs and write the table."""
    with tempfile.TemporaryDirectory() as folder:
        found = outcomes(Path(folder))
    text = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(MARKS.sub(lambda m: m[1] + table(found) + m[2], text), encoding="utf-8")
    assert not bad(found), bad(found)


if __name__ == "__main__":
    main()
