"""The settings of a holder, as its page has them, and the command that asks."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from clonewatch.model.errors import SetupError
from clonewatch.sharing.matching import peers
from clonewatch.sharing.matching.asking import Address, Client
from clonewatch.sharing.matching.epoch import Epoch, new, today

HASH = "0b" * 32  # the same in every process, as it is in the names of tests
PAGE = Path(__file__).resolve().parents[2] / "docs" / "using" / "sharing-matching.md"


def written(folder: Path, text: str) -> Path:
    path = folder / "match.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_settings_of_the_page_are_read_and_its_paths_count_from_the_file(tmp_path: Path) -> None:
    (text,) = re.findall(r"^```toml\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.M | re.S)
    held = peers.read(written(tmp_path, text))
    assert held.epoch == str(tmp_path / "epoch.json") and held.fingerprint_key == str(tmp_path / "fingerprint.key")
    assert held.peers["north"].modes == peers.MODES and held.peers["north"].queries == peers.Peer(HASH).queries


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("epok = 'x'", "there is no setting"),
        ("[peers.north]\nsha256 = 'x'", "64 hexadecimal digits"),
        (f"[peers.north]\nsha256 = '{HASH}'\nmodes = ['all']", "no mode 'all'"),
        (f"[peers.north]\nsha256 = '{HASH}'\nqueries = 0", "ask nothing"),
        (f"[peers.'No Name']\nsha256 = '{HASH}'", "a name is"),
        (f"[peers.a]\nsha256 = '{HASH}'\n[peers.b]\nsha256 = '{HASH}'", "same key"),
        ("[listen]\ncertificate = 'x'", "private key"),
        ("[listen]\nport = 99999", "65535"),
        ("[[", "not TOML"),
    ],
)
def test_settings_that_are_none_are_refused_with_the_reason(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(SetupError, match=said):
        peers.read(written(tmp_path, text))


def agreed() -> Epoch:
    return new("pact", "e1", today(), 30)


@pytest.mark.parametrize(
    "url", ["http://match.example", "ftp://127.0.0.1", "127.0.0.1:4340", "https://", "https://a.example/x"]
)
def test_another_machine_is_asked_over_tls_only(tmp_path: Path, url: str) -> None:
    with pytest.raises(SetupError):
        Client(agreed(), Address(url, "cwk_x"), tmp_path)
