"""What the container promises, without a container engine: a user that is not root, a read-only root, no network.

Building the image needs an engine. Here its start script runs in namespaces that take away the same things.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from clonewatch.lab.simulate import simulate

ROOT = Path(__file__).resolve().parents[2]
FILE = (ROOT / "Containerfile").read_text(encoding="utf-8")
STAGES = re.split(r"^FROM ", FILE, flags=re.M)[1:]
START = ROOT / ".ci" / "container-start"
KEPT = re.findall(r"^!(.+)$", (ROOT / ".dockerignore").read_text(encoding="utf-8"), re.M)

# As root of a namespace of its own: everything is read-only but two folders.
BOX = """
set -eu
mount --make-rprivate /
mount --bind "$1/data" "$1/data"
mount --bind "$1/tmp" "$1/tmp"
mount -o remount,bind,ro /
cd "$1/data"
shift
exec "$@"
"""


def settings() -> dict[str, str]:
    """The environment of the last stage."""
    block = re.search(r"^ENV (.+?[^\\])$", STAGES[-1], re.M | re.S)
    assert block
    return dict(re.findall(r"(\w+)=(\S+)", block[1]))


def test_the_image_runs_as_a_user_with_a_number_that_is_not_root() -> None:
    users = re.findall(r"^USER (\S+)$", STAGES[-1], re.M)
    assert len(users) == 1 and re.fullmatch(r"[1-9]\d{3,}:[1-9]\d{3,}", users[0])
    assert STAGES[-1].index("\nUSER") < STAGES[-1].index("\nENTRYPOINT")


def test_everything_that_a_run_writes_is_below_the_volume_or_the_temporary_folder() -> None:
    held = settings()
    for name in ("HOME", "CLONEWATCH_KEY_FILE", "NUMBA_CACHE_DIR", "TMPDIR"):
        assert re.match(r"/(data|tmp)(/|$)", held[name]), name
    assert "VOLUME /data" in STAGES[-1] and "WORKDIR /data" in STAGES[-1]


def test_the_image_compiles_for_the_processor_that_it_runs_the_kernels_on() -> None:
    assert "NUMBA_CPU_NAME=generic" in STAGES[0] and settings()["NUMBA_CPU_NAME"] == "generic"


def test_the_compiler_and_the_source_stay_behind_in_the_first_stage() -> None:
    copied = re.findall(r"^COPY (?:--\S+ )*(\S+)", STAGES[-1], re.M)
    assert copied == ["/usr/local/lib/clonewatch", "/usr/local/share/kernels", ".ci/container-start"]


def test_what_the_build_needs_goes_into_the_build_and_nothing_else_does() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert {project["readme"], *project["license-files"], "pyproject.toml", "src"} <= set(KEPT)
    assert all((ROOT / name).exists() for name in KEPT)


def test_a_start_copies_the_compiled_kernels_once_and_hands_over_every_word(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    command = tmp_path / "bin" / "clonewatch"
    command.write_text('#!/bin/sh\nprintf "[%s]" "$@"\n')
    command.chmod(0o755)
    (tmp_path / "built").mkdir()
    (tmp_path / "built" / "kernel.nbi").write_text("compiled")
    cache = tmp_path / "cache"
    seen = {"PATH": f"{tmp_path / 'bin'}:/usr/bin:/bin", "CLONEWATCH_KERNELS": str(tmp_path / "built")}
    for kept in ("compiled", "compiled here"):
        said = subprocess.run(
            [START, "scan", "a b", "--out", "$x"],
            env=seen | {"NUMBA_CACHE_DIR": str(cache)},
            capture_output=True,
            text=True,
            check=True,
        )
        assert said.stdout == "[scan][a b][--out][$x]"
        assert (cache / "kernel.nbi").read_text() == kept
        (cache / "kernel.nbi").write_text("compiled here")


def boxed(home: Path, *words: object, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a program with everything read-only but `home/data` and `home/tmp`, and no network."""
    names = ["unshare", "--mount", "--net", "--user", "--map-root-user"]
    line = [*names, "sh", "-c", BOX, "box", home, *words]
    return subprocess.run(
        list(map(str, line)), env=environment, capture_output=True, text=True, timeout=600, check=False
    )


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A folder for the box; skips where this machine allows no namespaces."""
    for name in ("data", "tmp"):
        (tmp_path / name).mkdir()
    if shutil.which("unshare") is None or boxed(tmp_path, "true", PATH="/usr/bin:/bin").returncode:
        pytest.skip("this machine allows no namespaces of one's own")
    return tmp_path


def test_a_scan_runs_on_a_read_only_root_without_a_network(home: Path) -> None:
    simulate("s01_shared_cards", home / "data" / "log", seed=1, scale=0.05)
    command = home / "bin" / "clonewatch"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -c "from clonewatch.cli.main import run; run()" "$@"\n')
    command.chmod(0o755)
    (home / "kernels").mkdir()
    held = settings() | {
        "PATH": f"{command.parent}:/usr/bin:/bin",
        "HOME": str(home / "data"),
        "PYTHONPATH": str(ROOT / "src"),
        "CLONEWATCH_KEY_FILE": str(home / "data" / "key"),
        "CLONEWATCH_KERNELS": str(home / "kernels"),
        "NUMBA_CACHE_DIR": str(home / "tmp" / "kernels"),
        "TMPDIR": str(home / "tmp"),
    }
    shut = boxed(home, "touch", ROOT / "written", **held)
    assert shut.returncode and "Read-only file system" in shut.stderr
    alone = "import socket; socket.create_connection(('192.0.2.1', 80), timeout=5)"
    assert "Network is unreachable" in boxed(home, sys.executable, "-c", alone, **held).stderr

    done = boxed(home, START, "scan", home / "data" / "log", "--out", "result", "--quiet", **held)

    assert done.returncode == 0, done.stderr
    assert "1 campaign flagged" in done.stdout
    assert {p.name for p in (home / "data").iterdir()} == {"key", "log", "result"}
    assert list((home / "tmp" / "kernels").rglob("*.nbc"))
