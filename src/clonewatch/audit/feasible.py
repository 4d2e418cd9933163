"""Plans that could not work are refused, with the reason: before they are registered, and before anybody is asked."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from clonewatch.audit import canary, requests, stats
from clonewatch.audit.plan import PlannedTest, Settings
from clonewatch.model.errors import InputError


def check(settings: Settings, tests: Sequence[PlannedTest], pairs: Sequence[dict[str, Any]], prompts: int) -> None:
    """Raise InputError for settings that contradict each other, and for a test that could not find anything.

    pairs: of twin answers. prompts: how many there are.
    """
    kinds = {test.test for test in tests}
    if settings.looks > 1 and kinds != {"watermark"}:
        raise InputError(
            "only watermark tests may look more than once",
            fix="List only their commitments in secrets, or set looks = 1",
        )
    if settings.looks > prompts:
        raise InputError(f"{settings.looks} looks at {prompts} prompts", fix="Set fewer looks, or use more prompts")
    for test in tests:
        if test.test == "watermark":
            _window(settings, test)
        if test.test == "twin" and not requests.pairs_of(test, pairs, tests):
            raise InputError(f"there is no pair for the coins {test.commitment[:12]}", fix="Name a file in twins")
        if test.test == "canary":
            canary.check_length(test.public["length"])
        _reaches(settings, test, tests, pairs, prompts)


def _window(settings: Settings, test: PlannedTest) -> None:
    """Every window lies within an answer, with a token after it."""
    if test.public["width"] >= settings.tokens:
        raise InputError(
            f"the window of {test.id} has {test.public['width']} tokens, and an answer at most {settings.tokens}: no"
            " token follows a whole window",
            where=f"commitment {test.commitment[:12]}",
            fix="Set more tokens, or leave this secret out by listing others in secrets",
        )


def _reaches(
    settings: Settings, test: PlannedTest, tests: Sequence[PlannedTest], pairs: Sequence[dict[str, Any]], prompts: int
) -> None:
    """The smallest p-value that a test can give is at most alpha, corrected for the number of tests."""
    if test.test == "twin":
        units, least = len(requests.pairs_of(test, pairs, tests)), math.log10(0.5)
        floor, what = units * least, "pairs"
    elif test.test == "canary" and settings.access == "scoring":
        units = test.public["count"]
        floor, what = stats.fisher([-math.log10(requests.CANARY_DECOYS + 1)] * units), "canaries"
    elif test.test == "watermark" and test.public["rule"] == "kgw":
        units = prompts * settings.answers * (settings.tokens - test.public["width"])
        floor, what = units * math.log10(test.public["gamma"]), "tokens"
    else:
        return
    if floor + math.log10(len(tests)) > math.log10(settings.alpha):
        raise InputError(
            f"{test.id} could find nothing: with {units} {what} its p-value is at least {10**floor:.2g}, and"
            f" {len(tests)} tests at alpha {settings.alpha:g} need less",
            where=f"commitment {test.commitment[:12]}",
            fix=f"Use more {what}, or leave this secret out by listing others in secrets",
        )
