"""Identifiers of other catalogues exist in the pinned data, and go no further than the evidence."""

import pytest

from clonewatch.dossier.crosswalk import ATLAS, ITEMS, catalogues, crosswalk
from clonewatch.report import phrases


@pytest.mark.parametrize("item", ITEMS, ids=lambda item: item.id)
def test_an_identifier_exists_in_the_pinned_data_and_takes_a_level_that_there_is(item: object) -> None:
    assert item in ITEMS and item.id in catalogues()[item.catalogue]["ids"]  # type: ignore[attr-defined]
    assert item.from_level in {rung.code for rung in phrases.LADDER}  # type: ignore[attr-defined]


def test_the_pinned_data_is_a_whole_catalogue_and_says_where_it_is_from() -> None:
    held = catalogues()
    assert len(held[ATLAS]["ids"]) == 205 and held[ATLAS]["ids"]["AML.T0024.002"] == "Extract AI Model"
    assert "AML.T0024.001" in held[ATLAS]["ids"], "which some digests call the extraction of a model"
    for one in held.values():
        assert len(one["sha256"]) == 64 and len(one["commit"]) == 40 and one["version"] and one["licence"]


@pytest.mark.parametrize(
    ("level", "bystanders", "there", "missing"),
    [
        ("L1", 0, "AML.T0021", "AML.T0024.002"),
        ("L2", 3, "AML.T0008.005", "AML.T0024.002"),
        ("L3", 0, "AML.T0024.002", "AML.T0008.005"),
        ("L0", 9, "11.3.1", "AML.T0040"),
    ],
)
def test_it_goes_as_far_as_the_level_and_says_what_it_leaves_out(
    level: str, bystanders: int, there: str, missing: str
) -> None:
    walk = crosswalk({"level": level}, {"bystanders": bystanders})
    ids = {one["id"] for one in walk["items"]}
    assert there in ids and missing not in ids
    assert any("AML.T0024.002" in one for one in walk["left_out"]) == (level != "L3")
