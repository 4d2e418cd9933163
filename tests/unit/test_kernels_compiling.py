"""Kernels are compiled once: a warm-up leaves nothing to compile, and a place that cannot be written stops nobody."""

import os
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest

from clonewatch.fingerprints.fingerprinting import Fingerprinter
from clonewatch.kernels.addresses import prefixes
from clonewatch.kernels.compiling import cache_folder, when_compiling
from clonewatch.kernels.hashing import keyed_hash
from clonewatch.pipeline.warming import warm_up


def test_after_a_warm_up_nothing_is_left_to_compile() -> None:
    warm_up()
    said: list[bool] = []
    with when_compiling(lambda: said.append(True)):
        messages = ['[{"role": "user", "content": "What is a kernel?"}]', None, "no JSON"]
        printer = Fingerprinter(bytes(32))
        for kind in (pa.string(), pa.large_string(), pa.dictionary(pa.int32(), pa.string())):
            text = pa.array(messages, pa.string()).cast(kind)
            printer.apply(pa.record_batch({"messages": text, "system_text": text}))
            keyed_hash(text, bytes(16))
        printer.apply(pa.record_batch({"messages": pa.nulls(2)}))
        prefixes(pa.array(["192.0.2.1", "2001:db8::1", None]), bytes(16))
    assert not said
    assert not warm_up().compiled


def test_compiling_is_reported_once_and_only_within_the_block(monkeypatch: pytest.MonkeyPatch) -> None:
    from clonewatch.kernels import compiling
    from clonewatch.kernels.compiling import compiled

    monkeypatch.setattr(compiling, "_kept", True)  # put back afterwards: a kernel without a source is not kept
    said: list[bool] = []
    with when_compiling(lambda: said.append(True)):
        assert fresh(compiled)(2) == 4 and fresh(compiled)(3) == 6
    assert said == [True]
    assert fresh(compiled)(4) == 8
    assert said == [True]


def fresh(compiled):  # type: ignore[no-untyped-def]
    """A kernel that lies in no cache, for its source is in none."""
    space: dict[str, object] = {}
    exec("def double(x):\n    return x + x\n", space)  # noqa: S102 - a kernel without a source file
    return compiled()(space["double"])


LOOK = """
import json
from clonewatch.kernels.compiling import cache_folder
from clonewatch.kernels.sketching import stir
works = int(stir(1) > 0)
print(json.dumps([str(cache_folder()), works]))
"""


def test_where_no_place_can_be_written_kernels_still_work(tmp_path: Path) -> None:
    closed = tmp_path / "a file, not a folder"
    closed.write_text("")
    # Numba tries the folder that is named, then those beside the source and of the user: none is left here.
    place = {"NUMBA_CACHE_DIR": str(closed), "NUMBA_CACHE_LOCATOR_CLASSES": "UserProvidedCacheLocator"}
    done = subprocess.run(
        [sys.executable, "-c", LOOK], capture_output=True, text=True, check=True, env={**os.environ, **place}
    )
    assert done.stdout.split() == ['["None",', "1]"]
    kept = tmp_path / "kept"
    done = subprocess.run(
        [sys.executable, "-c", LOOK], capture_output=True, text=True, check=True,
        env={**os.environ, "NUMBA_CACHE_DIR": str(kept)},
    )  # fmt: skip
    assert str(kept) in done.stdout and any(kept.rglob("*.nbi"))


# No file may grow beyond a page, as on a full disk.
FULL = """
import resource, signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (512, 512))
"""


def test_on_a_full_disk_kernels_work_and_are_not_kept(tmp_path: Path) -> None:
    place = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path / "full"), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run([sys.executable, "-c", FULL + LOOK], capture_output=True, text=True, check=True, env=place)
    assert done.stdout.split() == ['["None",', "1]"]


def test_the_cache_folder_is_known() -> None:
    folder = cache_folder()
    assert folder is not None and folder.is_dir()


@pytest.mark.parametrize("kept", [True, False])
def test_the_command_says_when_kernels_are_compiled(kept: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    from clonewatch.cli import progress

    monkeypatch.setattr(progress, "cache_folder", lambda: Path("somewhere") if kept else None)
    assert ("once" in progress.compiling()) is kept
    assert ("NUMBA_CACHE_DIR" in progress.compiling()) is not kept
