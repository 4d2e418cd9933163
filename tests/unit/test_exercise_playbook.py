"""Playbooks: the example is sound, faults are named by line, policies beside it are read."""

from pathlib import Path

import pytest

from clonewatch.exercise.playbook import PlaybookError, read
from clonewatch.model.errors import SetupError
from clonewatch.policy.policy_file import PolicyError

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
TEXT = (EXAMPLES / "playbook.toml").read_text(encoding="utf-8")


def line_of(words: str) -> int:
    return next(number for number, line in enumerate(TEXT.splitlines(), 1) if words in line)


def write(folder: Path, text: str) -> Path:
    for name in ("policy.toml", "policy_suspend.toml"):
        (folder / name).write_bytes((EXAMPLES / name).read_bytes())
    made = folder / "playbook.toml"
    made.write_text(text, encoding="utf-8")
    return made


def test_the_example_is_sound() -> None:
    book = read(EXAMPLES / "playbook.toml")
    assert [name for name, _ in book.policies] == ["campaigns v1", "suspend v1"]
    assert book.checks == (1, 3, 7, 14) and book.setting.target == 6000 and len(book.cards) > 30


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ("seeds = 2", "seeds = 0", "seeds is 1 to 20"),
        ("checks = [1, 3, 7, 14]", "checks = [1, 30]", "1 to 21"),
        ("people = 300", "people = 3", "people is 20"),
        ('known = ["naive"', 'known = ["unheard"', "unheard"),
        ("quiet = 5", 'quiet = "long"', "Expected `int`"),
        ("confirm = 1", "konfirm = 2", "konfirm"),
        ("sensitivity = []", 'sensitivity = ["weather"]', "weather"),
        ("crowd = 0.08", "mix = { dragons = 2.0 }", "dragons"),
        ("rounds = 1", "rounds = ", "no TOML"),
    ],
)
def test_a_fault_is_named_with_its_line(tmp_path: Path, old: str, new: str, what: str) -> None:
    made = write(tmp_path, TEXT.replace(old, new, 1))
    with pytest.raises(PlaybookError) as caught:
        read(made)
    notes = caught.value.__notes__
    assert len(notes) == 1 and notes[0].startswith(f"{made}:{line_of(old)}: ") and what in notes[0], notes


def test_a_card_may_be_replaced_and_has_to_be_a_card(tmp_path: Path) -> None:
    card = '\n[cards.payment_usd]\nvalue = 5\nlow = 1\nhigh = 9\nunit = "USD"\nsource = "us"\ndate = 2026-11-01\n'
    assert read(write(tmp_path, TEXT + card)).cards["payment_usd"] == 5
    with pytest.raises(PlaybookError) as caught:
        read(write(tmp_path, TEXT + card.replace("high = 9", "high = 2")))
    assert "not within 1 to 2" in caught.value.__notes__[0]


def test_policies_have_to_be_there_and_sound(tmp_path: Path) -> None:
    made = write(tmp_path, TEXT)
    (tmp_path / "policy.toml").write_text("schema = 1", encoding="utf-8")
    with pytest.raises(PolicyError):
        read(made)
    (tmp_path / "policy.toml").unlink()
    with pytest.raises(SetupError, match="cannot read the policy"):
        read(made)
    with pytest.raises(SetupError, match="cannot read the playbook"):
        read(tmp_path / "none.toml")
