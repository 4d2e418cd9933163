"""Options that could not work are refused with the reason, before anything is written; keys are in regular files."""

import json
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result
from tests.unit.audit_stand import planned
from typer.testing import CliRunner

from clonewatch.audit.client import key_of
from clonewatch.audit.committing import commit_canaries, commit_twins, commit_vllm
from clonewatch.audit.ledger import Ledger, Usage
from clonewatch.audit.plan import ModelEndpoint
from clonewatch.audit.prf import read_vllm
from clonewatch.audit.run import make_plan
from clonewatch.cli.main import app
from clonewatch.fingerprints.keys import load_key
from clonewatch.model.errors import ClonewatchError, InputError, KeyFileError
from clonewatch.model.secret_files import MOST_BYTES, read_secret

NOWHERE = "http://127.0.0.1:9/v1"


def give(*words: str) -> Result:
    return CliRunner().invoke(app, ["audit", *words])


@pytest.fixture
def book(tmp_path: Path) -> Path:
    place = tmp_path / "ledger.jsonl"
    assert give("init", str(place)).exit_code == 0
    return place


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["commit", "--since", "nonsense"], "not a day"),
        (["commit", "--since", "2026-13-01"], "not a day"),
        (["commit", "--until", "20260301"], "not a day"),
        (["commit", "--since", "2026-03-02", "--until", "2026-03-01"], "is before since"),
        (["commit", "--carrier", " "], "a label is empty"),
        (["commit", "--carrier", "a", "--carrier", "a"], "occurs twice"),
        (["commit", "--kind", "twin", "--width", "1"], "--width of a twin secret"),
        (["commit", "--kind", "twin", "--rule", "kgw"], "--rule of a twin secret"),
        (["commit", "--rule", "gumbel", "--gamma", "0.5"], "no green tokens"),
        (["mint-canaries", "--out", "c.jsonl", "--length", "1"], "guessed too easily"),
        (["mint-canaries", "--out", "c.jsonl", "--length", "9"], "2 to 8"),
        (["import-key", "--vllm-config", "missing.json"], "No such file"),
    ],
)
def test_what_cannot_work_is_refused_and_leaves_nothing(book: Path, words: list[str], says: str) -> None:
    before = book.read_bytes()
    told = give(words[0], str(book), *words[1:])
    assert told.exit_code == 2 and says in told.output, told.output
    assert book.read_bytes() == before and not Path("c.jsonl").exists()


@pytest.mark.parametrize("rate", ["nan", "inf", "1e-9"])
def test_a_rate_that_is_none_is_refused(tmp_path: Path, rate: str) -> None:
    told = give("collect", str(tmp_path), "--rate", rate)
    assert told.exit_code == 2 and "--rate" in told.output


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        ("[power]\nshare = nan", "the share of"),
        ("[power]\nshare = 0.0", "the share of"),
        ("[power]\neffect = -1.0", "the effect of"),
        ("[power]\neffect = inf", "the effect of"),
        ("temperature = nan", "answers must vary"),
        ("alpha = nan", "alpha is nan"),
    ],
)
def test_settings_that_are_no_numbers_are_refused(tmp_path: Path, lines: str, says: str) -> None:
    planned(tmp_path, NOWHERE)
    settings = (tmp_path / "settings.toml").read_text(encoding="utf-8")
    (tmp_path / "settings.toml").write_text(settings.replace("[suspect]", f"{lines}\n[suspect]", 1), encoding="utf-8")
    with pytest.raises(InputError, match=says):
        make_plan(tmp_path / "settings.toml", tmp_path / "again")


def refused(place: Path, ledger: Ledger, more: str = "") -> str:
    """Why a plan of what the ledger holds is refused."""
    with pytest.raises(ClonewatchError) as caught:
        planned(place, NOWHERE, more=more)
    assert not (place / "audit").exists() and all(r.kind != "plan" for r in ledger.records())
    return str(caught.value)


def test_a_window_that_no_answer_holds_is_refused(tmp_path: Path) -> None:
    planned(tmp_path, NOWHERE)
    (tmp_path / "ledger.jsonl").unlink()
    ledger = Ledger(tmp_path / "ledger.jsonl")
    (tmp_path / "vllm.json").write_text('{"algorithm": "gumbel", "key": 77, "context_width": 16}', encoding="utf-8")
    commit_vllm(ledger, tmp_path / "vllm.json", Usage())
    settings = (tmp_path / "settings.toml").read_text(encoding="utf-8")
    (tmp_path / "settings.toml").write_text(settings.replace("tokens = 30", "tokens = 16"), encoding="utf-8")
    with pytest.raises(InputError, match="no token follows a whole window"):
        make_plan(tmp_path / "settings.toml", tmp_path / "again")


def test_too_few_canaries_or_pairs_to_find_anything_are_refused(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.jsonl")
    commit_canaries(ledger, 1, 3, "The label of {name} reads", Usage())
    scoring = 'access = "scoring"'
    assert "T1 could find nothing: with 1 canaries" in refused(tmp_path, ledger, scoring)
    (tmp_path / "twins").mkdir()
    ledger = Ledger(tmp_path / "twins" / "ledger.jsonl")
    commit_twins(ledger, Usage())
    rows = [{"request_id": str(i), "prompt": str(i), "first": "a", "second": "b"} for i in range(9)]
    (tmp_path / "twins" / "pairs.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows), encoding="utf-8")
    assert "with 9 pairs its p-value is at least 0.002" in refused(tmp_path / "twins", ledger, 'twins = "pairs.jsonl"')


def test_a_prompt_with_half_a_character_is_refused_with_its_line(tmp_path: Path) -> None:
    planned(tmp_path, NOWHERE)
    (tmp_path / "prompts.jsonl").write_text('{"prompt": "a"}\n{"prompt": "\\ud800"}\n', encoding="utf-8")
    with pytest.raises(InputError, match=r"not JSON.*surrogates.*prompts\.jsonl:2"):
        make_plan(tmp_path / "settings.toml", tmp_path / "again")


def pipe(place: Path) -> None:
    os.mkfifo(place)


ODD: dict[str, tuple[Callable[[Path], object], str]] = {
    "a folder": (lambda place: place.mkdir(), "a folder"),
    "a pipe": (pipe, "a pipe"),
    "a device": (lambda place: place.symlink_to("/dev/zero"), "a device"),
    "an endless list of keys": (lambda place: place.write_bytes(b"0" * (MOST_BYTES + 1)), "larger than"),
}
READERS: dict[str, Callable[[Path], object]] = {
    "fingerprints": load_key,
    "model": lambda place: key_of("suspect", ModelEndpoint(url="https://a.invalid", model="m", key_file=str(place))),
    "watermark": read_vllm,
}


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes in folders")
@pytest.mark.parametrize("what", ODD)
@pytest.mark.parametrize("reader", READERS)
def test_a_key_is_read_from_a_regular_file_of_a_key_only(tmp_path: Path, what: str, reader: str) -> None:
    make, says = ODD[what]
    make(tmp_path / "key")
    if (tmp_path / "key").is_file():
        (tmp_path / "key").chmod(0o600)
    # In a thread, so that a reader that waits for a pipe fails this test and not the whole run.
    told: list[str] = []
    reading = threading.Thread(target=lambda: told.append(message(reader, tmp_path / "key")), daemon=True)
    reading.start()
    reading.join(30)
    assert told and says in told[0]


def message(reader: str, place: Path) -> str:
    with pytest.raises(KeyFileError) as caught:
        READERS[reader](place)
    return str(caught.value)


@pytest.mark.parametrize("reader", READERS)
def test_a_key_that_cannot_be_decoded_is_refused_in_plain_words(tmp_path: Path, reader: str) -> None:
    (tmp_path / "key").write_bytes(b"\xff\xfe\x00secret")
    (tmp_path / "key").chmod(0o600)
    with pytest.raises(ClonewatchError) as caught:
        READERS[reader](tmp_path / "key")
    assert "codec" not in str(caught.value) and "secret" not in str(caught.value)


def test_a_secrets_file_that_is_damaged_is_refused_in_plain_words(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.jsonl")
    commitment = ledger.commit("twin", bytes(32))
    whole = ledger.secrets_path.read_bytes()
    for damaged in (
        b"[1]\n",
        b"\xff\n",
        whole.replace(b'"salt":"', b'"salt":"zz'),
        whole.replace(b'"salt"', b'"halt"'),
    ):
        ledger.secrets_path.write_bytes(damaged)
        with pytest.raises(KeyFileError, match=r"no secret is stored|not the committed one"):
            ledger.secret(commitment)
    ledger.secrets_path.unlink()
    ledger.secrets_path.mkdir()
    with pytest.raises(KeyFileError, match="a folder"):
        ledger.secret(commitment)


def test_a_link_to_a_key_is_followed(tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(b"x")
    (tmp_path / "key").chmod(0o600)
    (tmp_path / "link").symlink_to(tmp_path / "key")
    assert read_secret(tmp_path / "link", "the key") == b"x"


def test_a_vllm_configuration_with_a_key_twice_is_refused(tmp_path: Path) -> None:
    one, other = "7700112233445566", "7800112233445566"
    (tmp_path / "vllm.json").write_text(f'{{"key": {one}, "key": {other}}}', encoding="utf-8")
    with pytest.raises(InputError, match="occurs twice") as caught:
        read_vllm(tmp_path / "vllm.json")
    assert one not in str(caught.value) and other not in str(caught.value)
