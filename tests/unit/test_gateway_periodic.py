"""A thread that takes one step after the other."""

from __future__ import annotations

import logging
import threading

import pytest

from clonewatch_gateway import periodic
from clonewatch_gateway.periodic import Periodic


def test_a_step_that_fails_is_said_and_the_next_one_is_taken_until_it_is_stopped(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(periodic, "AFTER_A_FAULT", 0.0)
    steps, third = [], threading.Event()

    def step() -> float:
        steps.append(len(steps))
        if len(steps) == 2:
            raise OSError("a disk")
        if len(steps) == 3:
            third.set()
            return 3600.0
        return 0.0

    thread = Periodic("clonewatch-test", step)
    with caplog.at_level(logging.ERROR, "clonewatch_gateway"):
        thread.start()
        assert third.wait(20)
        thread.stop()
    assert steps == [0, 1, 2] and caplog.messages == ["clonewatch-test: a step failed"]


def test_one_that_was_never_started_can_be_stopped() -> None:
    Periodic("clonewatch-test", lambda: 0.0).stop()
