"""Whatever is sent to a page of the console, it answers in words, and log and store agree afterwards."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.unit.console_stand import Console, console, sound
from tests.unit.test_console_rights import FIELDS, ROUTES

POSTS = sorted(path for (method, path), role in ROUTES.items() if method == "POST" and role and path != "/sign-out")
GETS = sorted(path for (method, path), role in ROUTES.items() if method == "GET" and role)
QUERIES = ("status", "outcome", "ruling", "assignee", "text", "sort", "page", "account", "by", "what", "case", "done")
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
VALUES = st.one_of(
    TEXT,
    st.integers(-(2**70), 2**70).map(str),
    st.sampled_from(
        [*FIELDS.values(), "innocent", "confirmed", "accounts", "block", "approved", "2030-02-30", "K0002@1"]
    ),
)


@pytest.fixture(scope="module")
def open_(tmp_path_factory: pytest.TempPathFactory) -> Console:
    return console(str(tmp_path_factory.mktemp("console") / "cases.db"), roles=("admin",))


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(POSTS), st.sampled_from(["K0001", "K0002", "K9999", "admin", "é"]), st.data())
def test_any_form_is_answered_in_words(open_: Console, path: str, name: str, data: st.DataObject) -> None:
    number = data.draw(st.integers(-(2**70), 2**70) | st.integers(0, 20))
    names = st.sampled_from([*FIELDS, "explanation", "scope", "until", "note", "due", "pasted"])
    fields = FIELDS | data.draw(st.dictionaries(names, VALUES, max_size=6))
    if path.startswith("/people"):
        # Nobody else is there to let the admin in again.
        name = "viewer"
    done = open_.as_["admin"].post(path.format(name=name, number=number, token="x"), **fields)  # noqa: S106
    assert done.status_code in (200, 303, 400, 404, 409, 422)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(GETS), st.dictionaries(st.sampled_from(QUERIES), VALUES, max_size=5), st.integers(-5, 2**70))
def test_any_address_is_answered_in_words(open_: Console, path: str, query: dict[str, str], number: int) -> None:
    found = open_.as_["admin"].get(path.format(name="K0001", number=number), params=query)
    assert found.status_code in (200, 400, 404, 422)


def test_the_log_holds_after_all_of_it(open_: Console) -> None:
    sound(open_.store)
