"""What every file of the repository keeps: names, docstrings, sizes, and nothing of the machine it was written on."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from clonewatch.ports.shelf import Shelf

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src" / "clonewatch"
MODULES = sorted(SOURCE.rglob("*.py"))
DRAWERS = {
    "utils",
    "util",
    "misc",
    "helpers",
    "helper",
    "common",
    "shared",
    "base",
    "core",
    "lib",
    "manager",
    "managers",
}
MOST_LINES = 400
SHELVES = (
    Shelf("clonewatch.adapters.formats", "ADAPTER"),
    Shelf("clonewatch.links.signals", "SIGNAL"),
    Shelf("clonewatch.behaviour.tests", "TEST"),
    Shelf("clonewatch.lab.campaigns", "CAMPAIGN"),
    Shelf("clonewatch.engines", "ENGINE"),
)
# Written by building, testing and running; never part of the repository.
MADE = {
    ".git", ".venv", ".mypy_cache", ".ruff_cache", ".pytest_cache", ".hypothesis", ".import_linter_cache",
    "__pycache__", "demo", "dist", "build", "runs", "work", "site",
}  # fmt: skip
HEAVY = {"duckdb", "numba", "pyarrow", "scipy", "vl_convert", "jinja2"}


def place(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def files() -> list[Path]:
    """Every file of the repository that holds text."""
    found = [p for p in ROOT.rglob("*") if p.is_file() and not MADE & set(p.relative_to(ROOT).parts)]
    return [p for p in found if p.suffix not in {".png", ".npz", ".parquet", ".gz", ".zst", ".arrow"}]


def test_no_drawer_is_called_what_says_nothing() -> None:
    named = [p for top in ("src", "tests", "evals", "benchmarks", "docs") for p in (ROOT / top).rglob("*")]
    assert [place(p) for p in named if p.stem.strip("_").lower() in DRAWERS] == []


@pytest.mark.parametrize("module", MODULES, ids=place)
def test_a_module_says_in_one_line_what_lives_there(module: Path) -> None:
    said = ast.get_docstring(ast.parse(module.read_text(encoding="utf-8")))
    assert said, "there is no docstring"
    first = said.splitlines()[0]
    assert first[-1] in ".!?:" and len(first) <= 120, first


@pytest.mark.parametrize("module", [m for m in MODULES if m.name == "__init__.py" and m.parent != SOURCE], ids=place)
def test_a_package_holds_a_docstring_and_nothing_else(module: Path) -> None:
    assert len(ast.parse(module.read_text(encoding="utf-8")).body) == 1


def test_modules_stay_short() -> None:
    long = {m.relative_to(SOURCE).as_posix() for m in MODULES if m.read_text("utf-8").count("\n") > MOST_LINES}
    assert long == set(), "cut these in two"


@pytest.mark.parametrize("shelf", SHELVES, ids=lambda s: s.package)
def test_a_name_on_a_shelf_is_the_name_of_its_file(shelf: Shelf) -> None:
    assert shelf.names(), "the shelf is empty"
    for name in shelf.names():
        held = shelf.load(name)
        told = getattr(held, "name", None) or getattr(getattr(held, "channel", None), "name", name)
        assert told == name


def test_no_file_holds_a_path_of_a_machine_or_the_address_of_a_registry() -> None:
    machine = [r"(?<![\w.~$}])/(?:home|Users|root|work|mnt|opt)/\w\w", r"[A-Z]:\\\\?Users"]
    registry = [
        "pypi" + r"\.org",
        "python" + "hosted",
        r"--(?:extra-)?index" + "-url",
        "test" + "pypi",
        "simple/" + "numpy",
    ]
    wanted = re.compile("|".join(machine + registry))
    found = [
        f"{place(p)}:{number}: {line.strip()[:80]}"
        for p in files()
        if p != Path(__file__).resolve()
        for number, line in enumerate(p.read_text(encoding="utf-8", errors="replace").splitlines(), 1)
        if wanted.search(line)
    ]
    assert found == []


def imported_by(statement: str) -> set[str]:
    """Top-level modules that a fresh interpreter holds after a statement."""
    code = f"{statement}\nimport sys\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return {name.partition(".")[0] for name in done.stdout.split()}


def test_importing_the_package_imports_nothing_heavy() -> None:
    assert imported_by("import clonewatch") & (HEAVY | {"numpy", "typer", "msgspec"}) == set()


def test_the_command_line_answers_before_anything_heavy_is_imported() -> None:
    assert imported_by("import clonewatch.cli.main") & HEAVY == set()


def test_shelves_are_listed_without_importing_what_is_on_them() -> None:
    names = "[s.names() for s in (Shelf('clonewatch.links.signals', 'SIGNAL'), Shelf('clonewatch.engines', 'ENGINE'))]"
    assert imported_by(f"from clonewatch.ports.shelf import Shelf\n{names}") & HEAVY == set()


def test_only_the_command_line_prints() -> None:
    printing = [
        place(m)
        for m in MODULES
        if "cli" not in m.parts
        for node in ast.walk(ast.parse(m.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    ]
    # These two are programs of their own: `python -m`.
    assert set(printing) <= {"src/clonewatch/lab/calibration.py", "src/clonewatch/fingerprints/train.py"}
