"""What every file of the repository keeps: names, docstrings, sizes, and nothing of the machine it was written on."""

import ast
import re
import subprocess
import sys
from collections.abc import Mapping, Set
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tests.conftest import LONGEST, pytest_collection_modifyitems

from clonewatch.ports.shelf import Shelf

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src" / "clonewatch"
GATEWAY = ROOT / "packages" / "gateway" / "src" / "clonewatch_gateway"
MODULES = sorted([*SOURCE.rglob("*.py"), *GATEWAY.rglob("*.py")])
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
    ".git",
    ".venv",
    ".venv-real",
    ".venv-peers",
    ".mypy_cache",
    ".ruff_cache",
    ".pytest_cache",
    ".hypothesis",
    ".import_linter_cache",
    "__pycache__",
    "demo",
    "dist",
    "build",
    "runs",
    "work",
    "site",
}
HEAVY = {"cel", "duckdb", "numba", "pyarrow", "scipy", "vl_convert", "jinja2", "sqlalchemy", "alembic", "cryptography"}


def place(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def files() -> list[Path]:
    """Every file of the repository that holds text."""
    found = [p for p in ROOT.rglob("*") if p.is_file() and not MADE & set(p.relative_to(ROOT).parts)]
    return [p for p in found if p.suffix not in {".png", ".npz", ".parquet", ".gz", ".zst", ".arrow"}]


def test_no_drawer_is_called_what_says_nothing() -> None:
    named = [p for top in ("src", "packages", "tests", "evals", "benchmarks", "docs") for p in (ROOT / top).rglob("*")]
    assert [place(p) for p in named if p.stem.strip("_").lower() in DRAWERS] == []


@pytest.mark.parametrize("module", MODULES, ids=place)
def test_a_module_says_in_one_line_what_lives_there(module: Path) -> None:
    said = ast.get_docstring(ast.parse(module.read_text(encoding="utf-8")))
    assert said, "there is no docstring"
    first = said.splitlines()[0]
    assert first[-1] in ".!?:" and len(first) <= 120, first


@pytest.mark.parametrize(
    "module", [m for m in MODULES if m.name == "__init__.py" and m.parent not in (SOURCE, GATEWAY)], ids=place
)
def test_a_package_holds_a_docstring_and_nothing_else(module: Path) -> None:
    assert len(ast.parse(module.read_text(encoding="utf-8")).body) == 1


def test_modules_stay_short() -> None:
    long = {place(m) for m in MODULES if m.read_text("utf-8").count("\n") > MOST_LINES}
    assert long == set(), "cut these in two"


@pytest.mark.parametrize("shelf", SHELVES, ids=lambda s: s.package)
def test_a_name_on_a_shelf_is_the_name_of_its_file(shelf: Shelf) -> None:
    assert shelf.names(), "the shelf is empty"
    for name in shelf.names():
        held = shelf.load(name)
        told = getattr(held, "name", None) or getattr(getattr(held, "signal", None), "name", name)
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
    # These are programs of their own: `python -m`.
    programs = ("src/clonewatch/lab/calibration.py", "src/clonewatch/fingerprints/train.py")
    assert set(printing) <= {*programs, place(GATEWAY / "main.py")}


def importable(*roots: Path) -> dict[str, Path]:
    """Every module under these folders by the name that it is imported by."""
    found = {file.relative_to(root).with_suffix("").parts: file for root in roots for file in root.rglob("*.py")}
    return {".".join(parts).removesuffix(".__init__"): file for parts, file in found.items()}


def imports(module: Path, known: Set[str]) -> set[str]:
    """The known modules that a file imports, wherever it does: at the top, inside a function, for types alone."""
    named: set[str] = set()
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            named |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            parts = {f"{node.module}.{alias.name}" for alias in node.names}
            # A name that is no module of its own comes from the package or file that holds it.
            named |= (parts & known) | ({node.module} if parts - known else set())
    return named & known


def circle(modules: Mapping[str, Path]) -> list[str]:
    """One circle of imports, from a module back to itself; empty where there is none."""
    graph = {name: imports(file, modules.keys()) for name, file in modules.items()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        found: list[str] = error.args[1]
        return found
    return []


def test_imports_go_in_no_circle_even_for_types() -> None:
    modules = importable(ROOT / "src", GATEWAY.parent) | {
        f"evals.{name}": file for name, file in importable(ROOT / "evals").items()
    }
    assert len(modules) > 200
    assert circle(modules) == []


def test_a_circle_that_is_closed_by_a_type_or_inside_a_function_is_seen(tmp_path: Path) -> None:
    (tmp_path / "one.py").write_text("from two import number")
    (tmp_path / "two.py").write_text("number = 2\ndef later():\n    import three")
    (tmp_path / "three.py").write_text(
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from one import number"
    )
    assert set(circle(importable(tmp_path))) == {"one", "two", "three"}
    (tmp_path / "three.py").write_text("")
    assert circle(importable(tmp_path)) == []


def test_the_longest_files_of_tests_exist_and_come_first_where_processes_share_the_tests() -> None:
    assert len(set(LONGEST)) == len(LONGEST) and not [name for name in LONGEST if not (ROOT / name).is_file()]
    names = ["src/first.py::a", f"{LONGEST[1]}::b", f"{LONGEST[0]}::c", f"{LONGEST[1]}::d", "tests/last.py::e"]
    for alone, order in ((True, [0, 1, 2, 3, 4]), (False, [2, 1, 3, 0, 4])):
        items: list[Any] = [SimpleNamespace(nodeid=name) for name in names]
        config: Any = SimpleNamespace() if alone else SimpleNamespace(workerinput={})
        pytest_collection_modifyitems(config, items)
        assert [names.index(item.nodeid) for item in items] == order
