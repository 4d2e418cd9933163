"""The gateway package stands alone: it imports the standard library and itself; five modules ask for more."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[2] / "packages" / "gateway"
SOURCE = PACKAGE / "src" / "clonewatch_gateway"
MODULES = sorted(SOURCE.rglob("*.py"))
# The standard library has no Ed25519, no server that holds up under load, no Redis, no JWT, no gRPC.
ALLOWED = {
    "signatures.py": {"cryptography"},
    "serving.py": {"httptools", "uvicorn"},
    "redis_counters.py": {"redis"},
    "end_users.py": {"joserfc"},
    "envoy.py": {"google", "grpc"},
}


def imported(module: Path) -> set[str]:
    """Top-level packages that a module imports, wherever it does."""
    found = set()
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module or "")
    return {name.partition(".")[0] for name in found}


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.relative_to(SOURCE).as_posix())
def test_a_module_imports_the_standard_library_and_its_own_package_and_nothing_else(module: Path) -> None:
    known = {"clonewatch_gateway", *sys.stdlib_module_names, *ALLOWED.get(module.name, ())}
    assert imported(module) - known == set()


def test_it_runs_where_nothing_is_installed() -> None:
    names = [".".join(m.relative_to(SOURCE.parent).with_suffix("").parts).removesuffix(".__init__") for m in MODULES]
    wanted = [name for name in names if not name.endswith("__main__")]
    code = f"import sys\nsys.path.insert(0, {str(SOURCE.parent)!r})\n" + "\n".join(f"import {name}" for name in wanted)
    code += "\nprint(*{name.partition('.')[0] for name in sys.modules})"
    done = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) - sys.stdlib_module_names == {"__main__", "clonewatch_gateway"}


def test_it_asks_for_nothing_unless_its_extra_is_wanted() -> None:
    project = tomllib.loads((PACKAGE / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["dependencies"] == []
    assert [one.partition(">")[0] for one in project["optional-dependencies"]["verify"]] == ["cryptography"]
