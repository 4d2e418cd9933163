"""The settings of a service: a mistake is refused with its place, and nothing secret is shown."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from typer.testing import CliRunner

from clonewatch.cli.main import app
from clonewatch.live.api_keys import ApiKey, Keyring, digest, new
from clonewatch.live.settings import Settings, read, shown, size_of
from clonewatch.model.errors import SetupError

# Always the same, as it is part of the names of tests.
KEY = "cwk_" + "k" * 43
HASH = digest(KEY)


def written(folder: Path, text: str) -> Path:
    path = folder / "serve.toml"
    path.write_text(text)
    return path


def test_paths_count_from_the_file_and_presets_stay_names(tmp_path: Path) -> None:
    text = 'state = "s"\n[maps]\nnginx = "nginx"\nours = "ours.toml"\n[publish]\nlist = "l"\n[listen]\nport = 1\n'
    held = read(written(tmp_path, text), {})
    assert held.state == str(tmp_path / "s") and held.spool == "spool"
    assert held.maps == {"nginx": "nginx", "ours": str(tmp_path / "ours.toml")}
    assert held.publish.policy == "" and held.listen.port == 1


def test_the_environment_is_above_the_file(tmp_path: Path) -> None:
    given = {"CLONEWATCH_SERVE_LISTEN_PORT": "7", "CLONEWATCH_SERVE_DETECT_DAYS": "3,9", "CLONEWATCH_SERVE_STATE": "x"}
    held = read(written(tmp_path, "[listen]\nport = 1\n"), given | {"HOME": "elsewhere"})
    assert (held.listen.port, held.detect.days, held.state) == (7, (3, 9), "x")


@pytest.mark.parametrize(
    ("text", "environment", "said"),
    [
        ("[bounds]\nsise = '1GB'\n", {}, "bounds: there is no setting `sise`"),
        ("spol = 'x'\n", {}, "there is no setting `spol`"),
        ("[listen]\nport = 'x'\n", {}, "listen.port"),
        ("[listen]\nport = 70000\n", {}, "70000 is no port"),
        ("[bounds]\nsize = 'much'\n", {}, "not a size"),
        ("[bounds]\nseal_seconds = 0\n", {}, "seal_seconds"),
        ("[detect]\ndays = []\n", {}, "days are at least 1"),
        ("[detect]\ndays = [14]\nkeep_days = 7\n", {}, "shorter than a window"),
        ("[listen]\ncertificate = 'c.pem'\n", {}, "its private key"),
        ("[publish]\npolicy = 'p.toml'\n", {}, "out, signing_key and account_key"),
        ("[keys.a]\nsha256 = 'short'\n", {}, "key a: sha256"),
        (f"[keys.a]\nsha256 = '{HASH}'\nscopes = ['all']\n", {}, "there is no scope 'all'"),
        (f"[keys.a]\nsha256 = '{HASH}'\nscopes = []\n", {}, "may do nothing"),
        ("worker = false\n", {}, "nobody else reads this spool"),
        ("= 1", {}, "not TOML"),
        ("", {"CLONEWATCH_SERVE_LISTEN_PROT": "1"}, "there is no setting `prot`"),
        ("", {"CLONEWATCH_SERVE_STATE_X": "1"}, "there is no setting `state_x`"),
        ("", {"CLONEWATCH_SERVE_BOUNDS_SIZE": "1B"}, "not a size"),
    ],
)
def test_a_mistake_is_refused_with_its_place(tmp_path: Path, text: str, environment: dict[str, str], said: str) -> None:
    with pytest.raises(SetupError, match=said.replace("[", r"\[")) as refused:
        read(written(tmp_path, text), environment)
    assert refused.value.fix


def test_a_typo_is_answered_with_the_name_that_is_near(tmp_path: Path) -> None:
    with pytest.raises(SetupError) as refused:
        read(written(tmp_path, "[detect]\nevery_minuts = 1\n"), {})
    assert refused.value.fix == "Did you mean `every_minutes`?"


def test_nothing_secret_is_shown(tmp_path: Path) -> None:
    text = f"[keys.a]\nsha256 = '{HASH}'\n[publish]\nstore = 'postgresql://me:secret@db/cases'\n"
    said = str(shown(read(written(tmp_path, text), {})))
    assert HASH not in said and "secret" not in said and "postgresql://(hidden)@db/cases" in said


def test_a_key_is_known_by_its_hash_alone() -> None:
    ring = Keyring({"a": ApiKey(HASH)})
    found = ring.whose(KEY)
    assert found is not None and found.name == "a"
    assert digest(KEY) == HASH and KEY not in repr(ApiKey(HASH))
    for other in ("", HASH, new()[0], KEY + "x", KEY[:-1], "cwk_" + "\u00e9" * 43):
        assert ring.whose(other) is None


def test_the_settings_on_the_page_are_the_defaults(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "using" / "live.md").read_text(encoding="utf-8")
    text = page.partition("## All settings")[2].partition("```toml\n")[2].partition("```")[0]
    held = read(written(tmp_path, text), {})
    paths = {name: str(tmp_path / name) for name in ("state", "spool", "results")}
    assert held == msgspec.structs.replace(Settings(), **paths)
    assert [name for name in Settings.__struct_fields__ if f"{name} = " not in text and f"[{name}]" not in text] == []


def test_sizes_are_binary() -> None:
    assert size_of("16MB") == 16 << 20


def test_the_command_makes_a_key_that_its_settings_take(tmp_path: Path) -> None:
    words = ["serve", "--new-key", "gateway", "--scope", "write:events", "--scope", "read:metrics"]
    made = CliRunner().invoke(app, words)
    assert made.exit_code == 0, made.output
    key = made.output.split("cwk_")[1].split()[0]
    held = read(written(tmp_path, made.output[made.output.index("[keys") :]), {})
    assert held.keys == {"gateway": ApiKey(digest("cwk_" + key), ("write:events", "read:metrics"))}
    shown_again = CliRunner().invoke(app, ["serve", str(tmp_path / "serve.toml"), "--check", "--json"])
    assert shown_again.exit_code == 0 and "(hidden)" in shown_again.output


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[maps]\nours = 'absent.toml'\n", "no such field map"),
        ("[maps]\n'a b' = 'nginx'\n", "is no name of a source"),
        ("bus = 'amqp://host'\n", "no address of a bus"),
        ("[publish]\npolicy = 'p.toml'\nout = 'o'\nsigning_key = 's'\naccount_key = 'a'\n", "p.toml"),
    ],
)
def test_what_would_fail_later_is_refused_at_the_start(tmp_path: Path, text: str, said: str) -> None:
    path = written(tmp_path, f"fingerprint_key = 'k'\n{text}[keys.a]\nsha256 = '{HASH}'\n")
    done = CliRunner().invoke(app, ["serve", str(path), "--listen", "127.0.0.1:0"])
    assert done.exit_code == 2 and said in done.output.replace("\n", " "), done.output
    assert "Batches are taken" not in done.output


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "no key is known"),
        (["nowhere.toml"], "cannot read the settings"),
        (["--listen", "4318"], "is no address"),
        (["--new-key", "a b"], "no name of a key"),
        (["--new-key", "a", "--scope", "all"], "there is no scope"),
    ],
)
def test_a_set_up_that_cannot_be_is_refused_in_words(words: list[str], said: str) -> None:
    done = CliRunner().invoke(app, ["serve", *words])
    assert done.exit_code == 2 and said in done.output
