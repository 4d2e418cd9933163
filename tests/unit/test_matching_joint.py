"""What providers tell of groups that met, and what comes of it together."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from tests.unit.matching_stand import LIBRARY, agreed, csv_of, group, holding

from clonewatch.kernels.sketching import rekeyed, sketch_key
from clonewatch.model.errors import InputError
from clonewatch.sharing.matching import bands, messages, met_file, sightings, values
from clonewatch.sharing.matching.asking import band
from clonewatch.sharing.matching.bands import Bander
from clonewatch.sharing.matching.epoch import Epoch
from clonewatch.sharing.matching.joint import fisher, joined
from clonewatch.sharing.matching.sightings import Group, Met, Question, Seen, Sighting

OURS = [("payment", f"P{n // 4}", f"a{n}") for n in range(12)]  # three cards of four accounts each
THEIRS = [("payment", f"P{n // 4}", f"b{n}") for n in range(12)]


def seen(folder: Path, epoch: Epoch, rows: list[tuple[str, str, str]], *groups: Group) -> Seen:
    return Seen(epoch, values.read(csv_of(folder / "seen.csv", rows), epoch), groups)


def said(first: str, last: str, *, name: str = "0" * 16, ended: Any = "", p: float = 0.05) -> Sighting:
    return Sighting(name, first, last, ended, p, ("payment",))


def accounts(letter: str, last: int = 12) -> list[str]:
    return [f"{letter}{n}" for n in range(last)]


def test_a_group_is_touched_by_several_values_on_enough_accounts_and_by_less_not(tmp_path: Path) -> None:
    epoch = agreed()
    held = seen(tmp_path, epoch, OURS, group("C1", accounts("a"), "2026-05-01", "2026-05-20"))
    named = held.held().elements("payment")
    assert list(held.touched({"payment": named[:2]}, 5)) == ["C1"]
    assert held.touched({"payment": named[:1]}, 2) == {}  # one value
    assert held.touched({"payment": named[:2]}, 9) == {}  # eight accounts


def test_what_several_groups_or_mostly_others_carry_belongs_to_no_group(tmp_path: Path) -> None:
    rows = [("device", "shared", "a1"), ("device", "shared", "c1"), ("device", "public", "a1"),
            ("device", "public", "x1"), ("device", "public", "x2"), ("device", "own", "a1")]  # fmt: skip
    days = ("2026-05-01", "2026-05-20")
    held = seen(tmp_path, agreed(), rows, group("C1", ["a1"], *days), group("C2", ["c1"], *days))
    assert len(held.held().elements("device")) == 1


def test_a_sighting_names_no_account_no_number_and_another_id_for_each_peer(tmp_path: Path) -> None:
    one = group("C0007", accounts("a"), "2026-05-01", "2026-05-20", ended=True, p=0.0072)
    held = seen(tmp_path, agreed(), OURS, one)
    told = held.sighting("C0007", "north")
    assert (told.first, told.last, told.ended, told.p) == ("2026-W18", "2026-W21", "measure", 0.01)
    assert told.id != held.sighting("C0007", "south").id
    assert set(msgspec.to_builtins(told)) == {"id", "first", "last", "ended", "p", "families"}
    assert told.families == ("pacing", "payment") and not told.fault()


@LIBRARY
def test_a_holder_tells_what_it_saw_only_of_a_group_that_carries_enough_of_what_is_named(tmp_path: Path) -> None:
    epoch = agreed()
    met: list[Met] = []
    theirs = group("K1", accounts("b"), "2026-06-10", "2026-06-20")
    named = seen(tmp_path, epoch, OURS, group("C1", accounts("a"), "2026-05-01", "2026-05-20")).held().accounts
    ours = said("2026-W18", "2026-W21")
    with holding(tmp_path, THEIRS, epoch, groups=[theirs], met=met) as stand:
        all_of_them = Question({"payment": tuple(named["payment"])}, ours)
        reply = sightings.reply(stand.ask("POST", messages.SIGHTINGS, msgspec.json.encode(all_of_them)).content)
        assert [one.first for one in reply.sightings] == ["2026-W24"]
        assert [(one.peer, one.group, one.theirs) for one in met] == [("north", "K1", ours)]
        guessed = Question({"payment": (sorted(named["payment"])[0], "f" * 32)}, ours)
        answer = stand.ask("POST", messages.SIGHTINGS, msgspec.json.encode(guessed))
        assert sightings.reply(answer.content).sightings == () and len(met) == 1


@LIBRARY
@pytest.mark.parametrize(
    "broken",
    [
        b"{", b"[]", b'{"elements":{}}',
        {"elements": {}}, {"elements": {"ip": ["0" * 32]}}, {"elements": {"payment": ["x"]}},
        {"elements": {"payment": ["0" * 32] * 501}},
        {"first": "2026-W54"}, {"first": "2025-W53"}, {"first": "2026-W30"}, {"p": 0.0421}, {"id": "me"}, {"more": 1},
        {"families": ["<b>"]},
    ],
)  # fmt: skip
def test_a_broken_question_is_refused_and_says_nothing(tmp_path: Path, broken: Any) -> None:
    whole = msgspec.to_builtins(Question({"payment": ("0" * 32,)}, said("2026-W18", "2026-W21")))
    if isinstance(broken, dict):
        whole |= broken if "elements" in broken else {"sighting": whole["sighting"] | broken}
    body = broken if isinstance(broken, bytes) else msgspec.json.encode(whole)
    theirs = group("K1", accounts("b"), "2026-06-10", "2026-06-20")
    with holding(tmp_path, THEIRS, agreed(), groups=[theirs]) as stand:
        answer = stand.ask("POST", messages.SIGHTINGS, body)
        assert answer.status_code == 400 and answer.json()["error"]


def test_a_hop_is_seen_in_weeks_and_after_a_measure(tmp_path: Path) -> None:
    met = [
        Met("north", "C1", said("2026-W10", "2026-W18", ended="measure"), said("2026-W19", "2026-W30", name="1" * 16))
    ]
    met_file.append(tmp_path / "met", met)
    (one,) = joined(met_file.read([tmp_path / "met"]))
    (hop,) = one.hops
    assert (hop.source, hop.target, hop.weeks, hop.after_measure) == ("us", "north", (0, 2), True)
    assert one.review and one.p == pytest.approx(0.0175, abs=1e-3) and one.p_any == 0.1
    together = [Met("north", "C1", said("2026-W10", "2026-W18"), said("2026-W10", "2026-W30", name="1" * 16))]
    assert joined(together)[0].hops == ()


def test_groups_that_one_sighting_joins_are_one_campaign_over_three_providers() -> None:
    weeks = ("2026-W10", "2026-W18")
    one, two, three, four = (said(*weeks, name=digit * 16) for digit in "1234")
    weak = said(*weeks, p=0.7, name="5" * 16)
    met = [Met("north", "C1", one, two), Met("north", "C2", three, two), Met("south", "C2", three, four)]
    met += [Met("south", "C9", weak, weak)]
    first, second = joined(met)
    assert first.groups == ("C1", "C2") and set(first.seen) == {"us", "north", "south"} and first.review
    assert second.groups == ("C9",) and not second.review


def test_the_p_value_of_fisher_holds_its_level_and_the_bound_holds_where_both_are_one() -> None:
    drawn = np.random.default_rng(1).random((20_000, 2))
    below = np.mean([fisher([sightings.banded(a), sightings.banded(b)]) <= 0.05 for a, b in drawn])
    assert 0.02 < below <= 0.052
    twin = np.mean([fisher([p, p]) <= 0.05 for p in drawn[:, 0]])
    bound = np.mean([min(1.0, 2 * p) <= 0.05 for p in drawn[:, 0]])
    assert twin > 0.05 >= bound  # the same customer at both: why nothing is flagged by this


def test_a_file_of_meetings_that_was_broken_is_refused_by_line(tmp_path: Path) -> None:
    met_file.append(tmp_path / "met", [Met("north", "C1", said("2026-W10", "2026-W18"), said("2026-W10", "2026-W11"))])
    path = tmp_path / "met"
    path.write_bytes(path.read_bytes() + path.read_bytes().replace(b"2026-W11", b"2026-W99"))
    with pytest.raises(InputError, match="no meeting"):
        met_file.read([path])


@pytest.mark.parametrize(("count", "floor", "shown"), [(0, 5, "fewer than 5"), (5, 5, "5 to 9"), (9, 5, "5 to 9"),
    (10, 5, "10 to 19"), (19_999, 5, "10000 to 19999"), (1, 1, "1 to 1"), (7, 7, "7 to 9")])  # fmt: skip
def test_a_number_of_matches_is_told_in_bands(count: int, floor: int, shown: str) -> None:
    assert band(count, floor) == shown


def test_sketches_of_two_providers_match_by_bands_under_the_epoch_and_by_nothing_else() -> None:
    epoch = agreed()
    ours, theirs, other = sketch_key(bytes(16)), sketch_key(bytes(range(16))), bytes(range(1, 17))
    plain = np.random.default_rng(2).integers(1, 2**32, (2, 64), np.uint32)
    near = plain[:1].copy()
    near[0, :8] += np.uint32(1)  # the first band differs, the other seven are equal
    enciphered = rekeyed(near, ours, theirs)
    assert (rekeyed(enciphered, theirs, ours) == near).all() and not (enciphered == near).any()
    left = Bander(epoch, bytes(16)).elements(bands.spelled(near)[0])
    right = Bander(epoch, bytes(range(16))).elements(bands.spelled(rekeyed(plain[:1], ours, theirs))[0])
    assert len(left) == 8 and set(left) & set(right) == set(left[1:])
    for apart in (Bander(agreed(), bytes(16)), Bander(epoch, other)):
        assert not set(left) & set(apart.elements(bands.spelled(near)[0]))
    assert Bander(epoch, bytes(16)).elements("0" * 512) == () == Bander(epoch, bytes(16)).elements("text")


def test_bands_of_one_template_are_one_value_however_many_match(tmp_path: Path) -> None:
    epoch = agreed()
    sketch = bands.spelled(np.arange(1, 65, dtype=np.uint32)[None, :])[0]
    rows = [("template", sketch, account) for account in accounts("a")] + [("payment", "P1", "a1")]
    held = values.read(csv_of(tmp_path / "v.csv", rows), epoch, bytes(16))
    own = Seen(epoch, held, [group("C1", accounts("a"), "2026-05-01", "2026-05-20")])
    named = {kind: own.held().elements(kind) for kind in ("template", "payment")}
    assert own.touched({"template": named["template"]}, 5) == {}
    assert list(own.touched(named, 5)) == ["C1"]
