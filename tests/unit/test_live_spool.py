"""The spool: what is acknowledged is there, whole and once, whatever the disk and the clocks do."""

from __future__ import annotations

import resource
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from clonewatch.live import spool
from clonewatch.live.spool import Bounds, FullError, Rows, Spool
from clonewatch.model.errors import StateError


def rows(text: str, stream: str = "one") -> Rows:
    return Rows(stream, text.encode(), text.count("\n"))


def lines(place: Path) -> list[str]:
    return [line for path in sorted(place.rglob("*.ndjson")) for line in path.read_text().splitlines()]


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def ticks() -> Clock:
    return Clock()


@pytest.fixture
def made(tmp_path: Path, ticks: Clock) -> Callable[..., Spool]:
    def make(**bounds: float) -> Spool:
        spool.make(tmp_path)
        return Spool(tmp_path, Bounds()._replace(**bounds), ticks=ticks)

    return make


@pytest.fixture
def small_files() -> Iterator[None]:
    """The system lets no file grow beyond 100 bytes, as a full disk would."""
    held = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, held[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, held)


def test_a_segment_is_sealed_once_it_is_old_and_its_arrivals_are_known(
    made: Callable[..., Spool], ticks: Clock
) -> None:
    held = made(seal=60)
    held.append([rows("a\n"), rows("b\nc\n", "two"), rows("d\n")])
    held.seal()
    assert spool.sealed(held.place) == []
    ticks.now += 61
    held.append([rows("e\n")])
    held.seal()
    one, two = spool.sealed(held.place)
    assert (spool.stream_of(one), one.read_bytes(), two.read_bytes()) == ("one", b"a\nd\ne\n", b"b\nc\n")
    assert [(come.rows, come.start) for come in spool.times_of(one.with_suffix(".times"))] == [(2, 0), (1, 4)]


def test_only_the_owner_may_read_it(made: Callable[..., Spool]) -> None:
    held = made()
    held.append([rows("a\n")])
    held.close()
    assert {path.stat().st_mode & 0o077 for path in held.place.rglob("*.ndjson")} == {0}
    assert {path.stat().st_mode & 0o077 for path in held.place.iterdir() if path.is_dir()} == {0}


def test_what_was_not_written_to_its_end_is_cut_and_the_rest_is_taken(made: Callable[..., Spool]) -> None:
    held = made()
    held.append([rows("whole\n")])
    [path] = (held.place / spool.OPEN).glob("*.ndjson")
    with path.open("ab") as file:
        file.write(b'{"torn": "' + b"x" * (2 << 20))
    again = made()
    assert [one.read_bytes() for one in spool.sealed(again.place)] == [b"whole\n"]
    assert list((again.place / spool.OPEN).iterdir()) == []
    again.append([rows("next\n")])
    again.close()
    assert len({path.name[:9] for path in spool.sealed(again.place)}) == 2


def test_a_line_that_was_never_finished_leaves_nothing(made: Callable[..., Spool]) -> None:
    held = made()
    (held.place / spool.OPEN / "000000001-one.ndjson").write_bytes(b"torn")
    assert spool.sealed(made().place) == []


def test_a_spool_takes_no_more_than_it_may_and_takes_again_once_it_was_read(made: Callable[..., Spool]) -> None:
    held = made(size=500)
    held.append([rows("x" * 299 + "\n")])
    with pytest.raises(FullError):
        held.append([rows("y" * 299 + "\n")])
    assert held.is_full(300) and not held.is_full(100)
    held.seal(everything=True)
    for path in spool.sealed(held.place):
        path.unlink()
    held.append([rows("z" * 299 + "\n")])
    assert lines(held.place) == ["z" * 299]


def test_a_full_disk_keeps_whole_lines_only(made: Callable[..., Spool], small_files: None) -> None:
    held = made()
    held.append([rows("a" * 59 + "\n")])
    with pytest.raises(OSError, match="File too large"):
        held.append([rows("b" * 59 + "\n")])
    assert lines(held.place) == ["a" * 59]
    held.append([rows("c" * 9 + "\n")])
    assert lines(held.place) == ["a" * 59, "c" * 9]


def test_a_segment_whose_arrivals_cannot_be_kept_is_sealed_all_the_same(made: Callable[..., Spool]) -> None:
    held = made()
    held.append([rows("a\n")])
    (held.place / spool.SEALED / "000000001-one.times").mkdir()
    held.seal(everything=True)
    [path] = spool.sealed(held.place)
    assert path.read_bytes() == b"a\n" and spool.times_of(path.with_suffix(".times")) == []


def test_a_segment_that_cannot_be_sealed_is_written_on_and_sealed_later(made: Callable[..., Spool]) -> None:
    held = made()
    held.append([rows("a\n")])
    (held.place / spool.SEALED).rename(held.place / "away")
    with pytest.raises(OSError, match="No such file"):
        held.seal(everything=True)
    held.append([rows("b\n")])
    (held.place / "away").rename(held.place / spool.SEALED)
    held.seal(everything=True)
    assert [path.read_bytes() for path in spool.sealed(held.place)] == [b"a\nb\n"]


def test_what_nobody_read_is_dropped_past_its_age_by_a_clock_that_nobody_sets(tmp_path: Path, ticks: Clock) -> None:
    spool.make(tmp_path)
    wall = Clock()
    held = Spool(tmp_path, Bounds(age=100), wall, ticks)
    held.append([rows("old\n"), rows("fact\n", "accounts")])
    held.seal(everything=True)
    assert held.expire(["accounts"]) == 0
    wall.now += 10**9
    ticks.now += 99
    assert held.expire(["accounts"]) == 0
    ticks.now += 1
    assert held.expire(["accounts"]) == 1
    assert lines(tmp_path) == ["fact"]


@pytest.mark.parametrize("jump", [-(10.0**6), 10.0**6])
def test_a_clock_that_jumps_loses_nothing_and_no_wait_is_negative(tmp_path: Path, ticks: Clock, jump: float) -> None:
    spool.make(tmp_path)
    wall = Clock()
    held = Spool(tmp_path, Bounds(seal=60), wall, ticks)
    held.append([rows("a\n")])
    wall.now += jump
    held.append([rows("b\n")])
    ticks.now += 60
    held.seal()
    [path] = spool.sealed(tmp_path)
    assert path.read_bytes() == b"a\nb\n"
    waits = spool.counted(spool.times_of(path.with_suffix(".times")), 1_000.0)
    assert min(waits) >= 0 and sum(waits.values()) == 2


def test_one_process_writes_to_a_spool(tmp_path: Path) -> None:
    with spool.opened(tmp_path / "spool", Bounds()), pytest.raises(StateError, match="another process"):
        with spool.opened(tmp_path / "spool", Bounds()):
            pass
