"""A file is written whole or not at all, and its name is on the disk too."""

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from clonewatch.model.errors import OutputError
from clonewatch.model.whole_files import PRIVATE, PUBLIC, create, replace, write

CALLS = ("open", "write", "fsync", "replace", "link")


def watched(monkeypatch: pytest.MonkeyPatch, at: int = 0) -> list[str]:
    """The calls that reach the disk, by name; the one with a number fails."""
    seen: list[str] = []

    def call(name: str, real: Callable[..., object]) -> Callable[..., object]:
        def told(*given: object, **more: object) -> object:
            on_folder = name == "fsync" and stat.S_ISDIR(os.fstat(given[0]).st_mode)  # type: ignore[arg-type]
            seen.append(f"{name} folder" if on_folder else name)
            if len(seen) == at:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return real(*given, **more)

        return told

    for name in CALLS:
        monkeypatch.setattr(os, name, call(name, getattr(os, name)))
    return seen


@pytest.mark.parametrize(("put", "named"), [(replace, "replace"), (create, "link")])
def test_the_bytes_are_on_the_disk_before_the_name_and_the_name_before_it_returns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, put: Callable[..., None], named: str
) -> None:
    seen = watched(monkeypatch)
    put(tmp_path / "a", b"new")
    assert seen == ["open", "write", "fsync", named, "open", "fsync folder"]


@pytest.mark.parametrize("at", range(1, 5))
def test_a_call_that_fails_leaves_the_earlier_file_and_nothing_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    (tmp_path / "a").write_bytes(b"old")
    with monkeypatch.context() as patch:
        watched(patch, at)
        with pytest.raises(OutputError, match="cannot write the list"):
            write(tmp_path / "a", b"new", what="the list")
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("a", b"old")]


@pytest.mark.parametrize(("mode", "wanted"), [(PRIVATE, 0o600), (PUBLIC, 0o640)])
def test_a_file_has_its_mode_from_the_start_and_not_that_of_the_earlier_one(
    tmp_path: Path, mode: int, wanted: int
) -> None:
    (tmp_path / "a").write_bytes(b"old")
    (tmp_path / "a").chmod(0o666)
    before = os.umask(0o026)
    try:
        replace(tmp_path / "a", b"new", mode)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == wanted


def test_a_file_is_not_made_over_another_one(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"old")
    with pytest.raises(FileExistsError):
        create(tmp_path / "a", b"new", aside=tmp_path / "a.part")
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"old"]


def test_what_a_killed_process_left_under_the_other_name_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "a.part").write_bytes(b"half")
    replace(tmp_path / "a", b"new", aside=tmp_path / "a.part")
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("a", b"new")]


def test_a_pipe_or_a_device_is_never_replaced(tmp_path: Path) -> None:
    """As root, a file of ours once took the place of /dev/null."""
    os.mkfifo(tmp_path / "a")
    with pytest.raises(OutputError, match="something else than a file"):
        write(tmp_path / "a", b"new", what="the list")
    assert stat.S_ISFIFO((tmp_path / "a").stat().st_mode) and len(list(tmp_path.iterdir())) == 1
