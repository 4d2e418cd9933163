"""What a test needs that a machine may lack."""

from __future__ import annotations

import os

import pytest


def required(what: str, lacking: list[str]) -> pytest.MarkDecorator:
    """The mark of tests that need more than the package: skipped by name where it is lacking, never in the build.

    Under CI=true the tests are not collected, which fails the build: a test that it skips proves nothing.
    """
    said = f"{what}: not there: {', '.join(lacking)}"
    if lacking and os.environ.get("CI") == "true":
        raise pytest.UsageError(f"{said}. The build must not pass without it")
    return pytest.mark.skipif(bool(lacking), reason=said)
