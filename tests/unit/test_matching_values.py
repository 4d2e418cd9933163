"""Values in one spelling under the key of an epoch, and the file of that epoch."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from tests.unit.matching_stand import agreed, csv_of

from clonewatch.model.errors import InputError, KeyFileError, OutputError, SetupError
from clonewatch.sharing.matching import epoch, values
from clonewatch.sharing.matching.values import Hasher, normalised


@pytest.mark.parametrize(
    ("kind", "one", "other"),
    [
        ("mail", "Ana+shop@Mail.Example", "ana@mail.example"),
        ("mail", "ana@bücher.example", "ANA@xn--bcher-kva.example."),
        ("mail", "ａｎａ@mail.example", "ana@mail.example"),
        ("payment", " ab-12 34.z ", "AB1234Z"),
        ("device", " t13d1516h2 ", "t13d1516h2"),
    ],
)
def test_two_spellings_of_a_value_are_one(kind: str, one: str, other: str) -> None:
    assert normalised(kind, one) == normalised(kind, other) != ""


def test_dots_of_an_address_go_only_where_the_group_agreed_that_they_mean_nothing() -> None:
    assert normalised("mail", "a.b@dots.example", ["dots.example"]) == "ab@dots.example"
    assert normalised("mail", "a.b@other.example", ["dots.example"]) == "a.b@other.example"


@pytest.mark.parametrize("value", ["", "nobody", "@mail.example", "+x@mail.example", "a@b@c.example", "a" * 400, "a@-"])
def test_what_is_no_address_is_none(value: str) -> None:
    assert normalised("mail", value) == ""


def test_elements_differ_between_epochs_and_between_kinds() -> None:
    first, second = Hasher(agreed()), Hasher(agreed())
    assert first.element("payment", "X1") == first.element("payment", "x-1")
    assert len({first.element("payment", "X1"), second.element("payment", "X1"), first.element("device", "X1")}) == 3


def test_rows_that_are_no_values_are_counted_by_reason_and_values_are_not_kept(tmp_path: Path) -> None:
    rows = [("payment", "PAR1", "a1"), ("payment", "PAR1", "a2"), ("mail", "none", "a1"), ("ip", "1.2.3.4", "a1"),
            ("device", "d1", "")]  # fmt: skip
    held = values.read(csv_of(tmp_path / "v.csv", rows), agreed())
    assert {kind: [len(a) for a in held.accounts[kind].values()] for kind in held.accounts} == {"payment": [2]}
    assert held.unread == {"no value of kind mail": 1, "a kind that is not matched": 1, "no account": 1}
    assert "PAR1" not in repr(held)


@pytest.mark.parametrize(
    "data", [b"kind,value\n", b"", b'kind,value,account\n"x', b"kind,value,account\npayment,\xff,a\n"]
)
def test_a_file_that_is_none_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "v.csv").write_bytes(data)
    with pytest.raises(InputError):
        values.read(tmp_path / "v.csv", agreed())


def test_an_epoch_is_a_file_for_its_owner_and_members_see_the_same_check(tmp_path: Path) -> None:
    made = agreed(undotted=("dots.example",))
    epoch.write(made, tmp_path / "e.json")
    assert (tmp_path / "e.json").stat().st_mode & 0o777 == 0o600
    assert epoch.read(tmp_path / "e.json").check() == made.check() != agreed().check()
    with pytest.raises(OutputError, match="already"):
        epoch.write(made, tmp_path / "e.json")


def test_members_whose_rules_differ_see_another_check() -> None:
    made = agreed()
    assert made.check() != msgspec.structs.replace(made, floor=6).check()
    assert made.check() != msgspec.structs.replace(made, undotted=("x.example",)).check()


@pytest.mark.parametrize(
    "changed",
    [{"secret": "00"}, {"floor": 1}, {"group": "A b"}, {"until": "2020-01-01"}, {"since": "2026-02-30"}, {"more": 1}],
)
def test_an_epoch_that_is_none_is_refused_without_showing_its_secret(
    tmp_path: Path, changed: dict[str, object]
) -> None:
    made = agreed()
    path = tmp_path / "e.json"
    path.write_bytes(msgspec.json.encode(msgspec.to_builtins(made) | changed))
    path.chmod(0o600)
    with pytest.raises(KeyFileError) as refused:
        epoch.read(path)
    assert made.secret not in str(refused.value)


def test_an_epoch_that_others_may_read_is_refused(tmp_path: Path) -> None:
    epoch.write(agreed(), tmp_path / "e.json")
    (tmp_path / "e.json").chmod(0o640)
    with pytest.raises(KeyFileError, match="open to other users"):
        epoch.read(tmp_path / "e.json")


def test_an_epoch_holds_from_its_first_to_its_last_day() -> None:
    made = epoch.new("pact", "e1", "2026-12-01", 31)
    assert (made.holds("2026-12-01"), made.holds("2026-12-31")) == ("", "")
    assert "begins" in made.holds("2026-11-30") and "ended on 2026-12-31" in made.holds("2027-01-01")
    with pytest.raises(SetupError, match="1 to 92 days"):
        epoch.new("pact", "e1", "2026-12-01", 93)
