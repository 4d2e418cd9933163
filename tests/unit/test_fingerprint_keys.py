"""The key file."""

import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from clonewatch.fingerprints.keys import default_path, derive, load_key
from clonewatch.model.errors import KeyFileError


def test_the_first_use_makes_a_private_key_and_the_next_one_reads_it(tmp_path: Path) -> None:
    place = tmp_path / "new" / "fingerprint.key"
    key = load_key(place)
    assert len(key) == 32 and load_key(place) == key
    assert stat.S_IMODE(place.stat().st_mode) == 0o600
    assert stat.S_IMODE(place.parent.stat().st_mode) == 0o700
    assert [p.name for p in place.parent.iterdir()] == ["fingerprint.key"]


def test_two_installations_have_different_keys(tmp_path: Path) -> None:
    assert load_key(tmp_path / "a") != load_key(tmp_path / "b")


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o666])
def test_a_key_open_to_others_is_refused_with_the_fix(tmp_path: Path, mode: int) -> None:
    place = tmp_path / "key"
    load_key(place)
    place.chmod(mode)
    with pytest.raises(KeyFileError, match="chmod 600"):
        load_key(place)


@pytest.mark.parametrize("content", ["", "zz", "00" * 31, "ключ", "00" * 33])
def test_a_file_without_a_key_is_refused(tmp_path: Path, content: str) -> None:
    place = tmp_path / "key"
    place.write_text(content, encoding="utf-8")
    place.chmod(0o600)
    with pytest.raises(KeyFileError):
        load_key(place)


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(KeyFileError, match="--key "):
        load_key(tmp_path / "file" / "key")


def test_a_key_in_place_of_a_file_is_refused_and_not_repeated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(KeyFileError, match="a key itself") as refused:
        load_key(Path("ab" * 32))
    assert "abab" not in str(refused.value) and not list(tmp_path.iterdir())


def test_writers_that_start_together_end_with_one_key(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        keys = set(pool.map(load_key, [tmp_path / "k" / "key"] * 32))
    assert len(keys) == 1


def test_the_place_follows_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.delenv("CLONEWATCH_KEY_FILE", raising=False)
    assert default_path() == tmp_path / "clonewatch" / "fingerprint.key"
    monkeypatch.setenv("CLONEWATCH_KEY_FILE", os.fspath(tmp_path / "k"))
    assert default_path() == tmp_path / "k"


def test_each_purpose_has_its_own_key() -> None:
    keys = {derive(bytes(32), p) for p in ("a", "b")} | {derive(b"\1" * 32, "a")}
    assert len(keys) == 3 and {len(k) for k in keys} == {16}
    with pytest.raises(ValueError, match="32 bytes"):
        derive(bytes(16), "a")


def test_the_key_of_the_demo_says_that_it_is_public_and_is_one(tmp_path: Path) -> None:
    place = tmp_path / "demo.key"
    place.write_bytes((Path(__file__).parents[2] / "examples" / "demo-public.key").read_bytes())
    place.chmod(0o600)
    assert load_key(place) == b"This key is public: demo only!!!"
