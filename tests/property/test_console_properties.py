"""Whatever is sent to a page of the console, it answers in words, and log and store agree afterwards."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.unit.appeals_stand import HOLDER, contained
from tests.unit.console_stand import Console, console, sound
from tests.unit.test_console_rights import FIELDS, ROUTES

from clonewatch.cases.appeals import write
from clonewatch.cases.containments import bearer

POSTS = sorted(path for (method, path), role in ROUTES.items() if method == "POST" and role and path != "/sign-out")
GETS = sorted(path for (method, path), role in ROUTES.items() if method == "GET" and role)
QUERIES = (
    "status",
    "outcome",
    "ruling",
    "assignee",
    "text",
    "sort",
    "page",
    "account",
    "by",
    "what",
    "case",
    "done",
    "since",
)
NAMES = ("K0001", "K0002", "K9999", "B0001", "B0002", "A0001", "admin", "é")
MORE = (
    "explanation",
    "scope",
    "until",
    "note",
    "due",
    "pasted",
    "days",
    "answer_days",
    "automated",
    "whole",
    "redress",
)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
VALUES = st.one_of(
    TEXT,
    st.integers(-(2**70), 2**70).map(str),
    st.sampled_from(
        [
            *FIELDS.values(),
            "innocent",
            "confirmed",
            "accounts",
            "block",
            "approved",
            "2030-02-30",
            "K0002@1",
            "suspend",
            "uphold",
        ]
    ),
)


@pytest.fixture(scope="module")
def open_(tmp_path_factory: pytest.TempPathFactory) -> Console:
    held = console(str(tmp_path_factory.mktemp("console") / "cases.db"), roles=("admin",))
    _, links = contained(held.store)
    with held.store.writing() as store:
        write(store, bearer(store, links[0].token, HOLDER.at), "we are a school", HOLDER)
    return held


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(POSTS), st.sampled_from(NAMES), st.data())
def test_any_form_is_answered_in_words(open_: Console, path: str, name: str, data: st.DataObject) -> None:
    number = data.draw(st.integers(-(2**70), 2**70) | st.integers(0, 20))
    names = st.sampled_from([*FIELDS, *MORE])
    fields = FIELDS | data.draw(st.dictionaries(names, VALUES, max_size=6))
    if path.startswith("/people"):
        # Nobody else is there to let the admin in again.
        name = "viewer"
    done = open_.as_["admin"].post(path.format(name=name, number=number, token="x"), **fields)  # noqa: S106
    assert done.status_code in (200, 303, 400, 404, 409, 422)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(GETS), st.sampled_from(NAMES), st.dictionaries(st.sampled_from(QUERIES), VALUES), st.data())
def test_any_address_is_answered_in_words(
    open_: Console, path: str, name: str, query: dict[str, str], data: st.DataObject
) -> None:
    numbers = st.integers(-5, 2**70) | st.integers(0, 20)
    place = path.format(name=name, number=data.draw(numbers), entry=data.draw(numbers))
    found = open_.as_["admin"].get(place, params=query)
    assert found.status_code in (200, 400, 404, 422)


def test_the_log_holds_after_all_of_it(open_: Console) -> None:
    sound(open_.store)
