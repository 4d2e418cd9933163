"""The four criteria of a flag as a reader meets them: name, threshold, and what one more piece would have to show."""

from typing import NamedTuple


class Criterion(NamedTuple):
    """One criterion. title: its name in words. threshold: in bits; 0 where its parts have thresholds of their own.

    holds: what its value is. more: what would have to show for it to be met. The thresholds are those of
    `campaigns.fusion`, and a test compares them.
    """

    name: str
    title: str
    threshold: float
    holds: str
    more: str


# The ratio of linkage at most, and what would have to show, where links of a required kind are lacking.
WRONG_KIND = 0.5
OTHER_KIND = (
    "a second kind of link where trust was inferred, or, where nobody is trusted, a card, a device, a key, a session or"
    " meeting times in common"
)
CRITERIA: dict[str, Criterion] = {
    criterion.name: criterion
    for criterion in (
        Criterion(
            "linkage",
            "linkage",
            9.965784285,
            "the weight that ties its average account to the rest, and, where that falls short, a quarter of what the"
            " sum of families has beyond its threshold",
            "rarer things that more of its accounts have in common, or more trusted accounts that do not have them",
        ),
        Criterion(
            "third_family",
            "third family",
            4.5,
            "the strength of its third-best family of tests, or of the second where nobody is trusted",
            "one more independent family of tests, such as equal shares, a steady pace or one list dealt out without"
            " repeats",
        ),
        Criterion(
            "sum_of_families",
            "sum of families",
            12.0,
            "all families of tests together, less what speaks against",
            "stronger tests, or evidence against that turns out not to apply",
        ),
        Criterion(
            "deception",
            "deception",
            0.0,
            "something that shows its accounts posing as unrelated ones",
            "1.66 bits by a card, a device, a key, a session or meeting times shared under unrelated names, or 3.3 bits"
            " by a test of work that is dealt out",
        ),
    )
}
