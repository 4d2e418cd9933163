"""Serving twins: what is served is a plain answer, what is kept is the pair, and trouble stays out of sight."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from clonewatch.audit import serving
from clonewatch.audit.serving import Pair, Twins
from clonewatch.audit.twin import flip
from clonewatch.model.errors import InputError

SECRET = b"a secret of the twins, for tests"
REQUEST = json.dumps({"messages": [{"role": "user", "content": "hi"}]}).encode()


class Model:
    """An ASGI application that gives every call another answer, in three pieces."""

    def __init__(self, failing: int | None = None) -> None:
        self.calls, self.failing, self.heard = 0, failing, []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        number, self.calls = self.calls, self.calls + 1
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        self.heard.append(body)
        if number == self.failing:
            raise RuntimeError("the model is out of memory")
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
        for piece in (b"answer ", b"number ", str(number).encode()):
            await asyncio.sleep(0)
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


def ask(
    app: Callable[..., Awaitable[None]], path: str = "/v1/chat/completions", pieces: tuple[bytes, ...] = (REQUEST,)
) -> list[Any]:
    """One request through an ASGI application; the messages it sent."""
    sent: list[Any] = []
    left = list(pieces)

    async def receive() -> Any:
        if left:
            return {"type": "http.request", "body": left.pop(0), "more_body": bool(left)}
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(app({"type": "http", "method": "POST", "path": path, "headers": []}, receive, send))  # type: ignore[arg-type]
    return sent


def body(sent: list[Any]) -> bytes:
    return b"".join(m.get("body", b"") for m in sent if m["type"] == "http.response.body")


def twins(model: Model, share: float = 1.0) -> tuple[Twins, list[Pair]]:
    kept: list[Pair] = []

    async def keep(pair: Pair) -> None:
        kept.append(pair)

    return Twins(model, SECRET, keep, share=share), kept


def test_the_released_answer_is_the_one_of_the_coin_and_both_are_kept() -> None:
    sides = set()
    for _ in range(20):
        app, kept = twins(Model())
        sent = ask(app)
        (pair,) = kept
        assert body(sent) == pair.answers[flip(SECRET, pair.request_id)]
        assert sorted(pair.answers) == [b"answer number 0", b"answer number 1"]
        assert pair.request == REQUEST and pair.whole
        sides.add(flip(SECRET, pair.request_id))
    assert sides == {0, 1}


def test_the_client_sees_just_what_the_model_sends() -> None:
    plain = ask(Model())
    app, _ = twins(Model())
    sent = ask(app)
    assert [m["type"] for m in sent] == [m["type"] for m in plain]
    assert sent[0] == plain[0] and [len(m.get("body", b"")) for m in sent] == [len(m.get("body", b"")) for m in plain]


def test_both_answers_are_to_the_whole_request() -> None:
    model = Model()
    app, _ = twins(model)
    ask(app, pieces=(REQUEST[:10], REQUEST[10:]))
    assert model.heard == [REQUEST, REQUEST]


def test_most_requests_and_other_paths_are_left_alone() -> None:
    model = Model()
    app, kept = twins(model, share=0.0)
    assert body(ask(app)) == b"answer number 0" and model.calls == 1 and kept == []
    app, kept = twins(model := Model())
    ask(app, path="/v1/models")
    assert model.calls == 1 and kept == []


def test_about_the_share_asked_for_is_chosen() -> None:
    chosen = sum(serving.chosen(SECRET, str(i), 0.1) for i in range(5000))
    assert 400 < chosen < 600


@pytest.mark.parametrize("failing", [0, 1])
def test_a_failure_is_seen_only_by_whom_it_befell(failing: int) -> None:
    outcomes = set()
    for _ in range(20):
        app, kept = twins(Model(failing))
        try:
            sent = ask(app)
        except RuntimeError:
            outcomes.add("released failed")
            assert kept == []
        else:
            outcomes.add("withheld failed")
            assert body(sent) == b"answer number %d" % (1 - failing)
            assert not kept[0].whole and kept[0].statuses[failing] == 0
    assert outcomes == {"released failed", "withheld failed"}


def test_a_client_that_goes_away_before_its_request_is_whole_costs_no_answer() -> None:
    model = Model()
    app, kept = twins(model)

    async def receive() -> Any:
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        raise AssertionError(message)

    scope = {"type": "http", "method": "POST", "path": "/v1/completions"}
    asyncio.run(app(scope, receive, send))
    assert model.calls == 0 and kept == []


def test_a_bad_secret_or_share_is_refused_before_anything_is_served() -> None:
    async def keep(pair: Pair) -> None: ...

    with pytest.raises(InputError, match="16 to 64 bytes"):
        Twins(Model(), b"short", keep)
    with pytest.raises(InputError, match="between 0 and 1"):
        Twins(Model(), SECRET, keep, share=2.0)
