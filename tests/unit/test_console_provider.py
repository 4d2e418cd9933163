"""Signing in with an identity provider: one of its own, on loopback, that signs tokens as real ones do, or wrongly."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
import uvicorn
from fastapi import FastAPI, HTTPException, Request
from fastapi.responses import RedirectResponse
from joserfc import jwt
from joserfc.jwk import RSAKey
from tests.unit.cases_stand import filled
from tests.unit.console_stand import URL, Browser, Clock, settings, sound

from clonewatch.cases import people
from clonewatch.cases.people import Person
from clonewatch.cases.store import Store, opened
from clonewatch.errors import SetupError
from clonewatch.service.app import create_app
from clonewatch.service.settings import Provider, check

ROLES = (("staff", "viewer"), ("trust", "analyst"), ("leads", "approver"))


class Stand:
    """An identity provider. says: claims that replace those of its tokens; wrong_key: sign with another key."""

    def __init__(self) -> None:
        self.key = RSAKey.generate_key(2048, {"kid": "k1", "use": "sig", "alg": "RS256"})
        self.other = RSAKey.generate_key(2048, {"kid": "k1", "use": "sig", "alg": "RS256"})
        self.says: dict[str, Any] = {}
        self.wrong_key = False
        self.codes: dict[str, dict[str, str]] = {}
        self.address = ""
        self.app = FastAPI()
        self.app.get("/.well-known/openid-configuration")(self.discovery)
        self.app.get("/jwks")(lambda: {"keys": [self.key.as_dict(private=False)]})
        self.app.get("/auth")(self.auth)
        self.app.post("/token")(self.token)

    def discovery(self) -> dict[str, Any]:
        return {
            "issuer": self.address,
            "authorization_endpoint": f"{self.address}/auth",
            "token_endpoint": f"{self.address}/token",
            "jwks_uri": f"{self.address}/jwks",
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "code_challenge_methods_supported": ["S256"],
        }

    def auth(self, request: Request) -> RedirectResponse:
        code = secrets.token_hex(8)
        self.codes[code] = dict(request.query_params)
        back = {"code": code, "state": request.query_params["state"]}
        return RedirectResponse(f"{request.query_params['redirect_uri']}?{urlencode(back)}")

    async def token(self, request: Request) -> dict[str, Any]:
        form = await request.form()
        asked = self.codes.pop(str(form.get("code")), None)
        if asked is None or challenge(str(form.get("code_verifier"))) != asked["code_challenge"]:
            raise HTTPException(400)
        now = int(time.time())
        claims = {
            "iss": self.address,
            "sub": "u1",
            "aud": asked["client_id"],
            "exp": now + 60,
            "iat": now,
            "nonce": asked["nonce"],
            "preferred_username": "Ann.Example",
            "groups": ["trust"],
        } | self.says
        key = self.other if self.wrong_key else self.key
        signed = jwt.encode({"alg": "RS256", "kid": "k1"}, {k: v for k, v in claims.items() if v is not None}, key)
        return {"access_token": "a", "token_type": "Bearer", "id_token": signed}


def challenge(verifier: str) -> str:
    import base64

    return base64.urlsafe_b64encode(sha256(verifier.encode()).digest()).rstrip(b"=").decode()


@pytest.fixture(scope="module")
def running() -> Iterator[Stand]:
    stand = Stand()
    server = uvicorn.Server(uvicorn.Config(stand.app, host="127.0.0.1", port=0, log_level="error"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    stand.address = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    yield stand
    server.should_exit = True
    thread.join()


@pytest.fixture
def stand(running: Stand) -> Stand:
    running.says, running.wrong_key = {}, False
    return running


@pytest.fixture
def browser(stand: Stand, tmp_path: Path) -> Browser:
    filled(str(tmp_path / "cases.db"))
    provider = Provider(stand.address, "console", "secret", ROLES)
    return Browser(create_app(settings(str(tmp_path / "cases.db"), None, Clock(), provider=provider)))


def sent_back(browser: Browser, place: str = "/") -> str:
    """Go to the provider and return where it sends the browser: path and query."""
    import httpx

    begun = browser.get("/sign-in/provider", params={"next": place})
    assert begun.status_code == 302
    asked = parse_qs(urlsplit(begun.headers["location"]).query)
    assert asked["code_challenge_method"] == ["S256"] and asked["response_type"] == ["code"]
    assert asked["redirect_uri"] == [f"{URL}/sign-in/provider/back"]
    back = httpx.get(begun.headers["location"]).headers["location"]
    return back.removeprefix(URL)


def known(browser: Browser) -> list[Person]:
    with store_of(browser).reading() as store:
        return people.everybody(store.connection)


def store_of(browser: Browser) -> Store:
    return opened(browser.http.app.state.settings.store)  # type: ignore[attr-defined]


def test_somebody_comes_in_with_the_role_of_their_group(browser: Browser, stand: Stand) -> None:
    assert "/sign-in/provider?next=%2F" in browser.get("/sign-in").text
    done = browser.get(sent_back(browser, "/cases/K0001"))
    assert done.status_code == 303 and done.headers["location"] == "/cases/K0001"
    assert "ann.example" in browser.get("/").text
    (ann,) = known(browser)
    assert (ann.role, ann.password, ann.subject) == ("analyst", "", f"{stand.address} u1")
    stand.says = {"groups": ["leads", "staff", "unknown"], "preferred_username": "renamed"}
    assert browser.get(sent_back(browser)).status_code == 303
    (ann,) = known(browser)
    assert (ann.name, ann.role) == ("ann.example", "approver"), "the same person, with the role that they have now"
    assert "signed in: identity provider" in browser.get("/log").text
    sound(store_of(browser))


def test_somebody_called_like_another_is_not_the_other(browser: Browser, stand: Stand) -> None:
    with store_of(browser).writing() as store:
        people.add(store, "ann.example", "admin", people.Who("setup", "2026-05-06T09:00:00Z"))
    browser.get(sent_back(browser))
    assert {one.name: one.role for one in known(browser)} == {"ann.example": "admin", "ann.example-2": "analyst"}
    stand.says = {"sub": "u2", "preferred_username": "///", "email": None}
    browser.get(sent_back(browser))
    assert len(known(browser)) == 3


def test_who_is_kept_out_or_has_no_role_stays_out(browser: Browser, stand: Stand) -> None:
    stand.says = {"groups": ["strangers"]}
    assert browser.get(sent_back(browser)).status_code == 403
    stand.says = {"groups": None}
    assert browser.get(sent_back(browser)).status_code == 403
    assert known(browser) == []
    stand.says = {"groups": "trust"}
    assert browser.get(sent_back(browser)).status_code == 303
    with store_of(browser).writing() as store:
        people.let_in(store, "ann.example", False, people.Who("setup", "2026-05-06T09:00:00Z"))
    assert browser.get("/").status_code == 303
    assert browser.get(sent_back(browser)).status_code == 403 and browser.get("/").status_code == 303


@pytest.mark.parametrize(
    "says",
    [{"aud": "another"}, {"iss": "https://evil.example"}, {"nonce": "guessed"}, {"exp": 1}, {"sub": None}],
    ids=lambda says: next(iter(says)),
)
def test_a_token_that_is_not_for_us_is_refused(browser: Browser, stand: Stand, says: dict[str, Any]) -> None:
    stand.says = says
    assert browser.get(sent_back(browser)).status_code == 401
    assert browser.get("/").status_code == 303 and known(browser) == []


def test_a_token_of_another_key_and_a_forged_state_are_refused(browser: Browser, stand: Stand) -> None:
    stand.wrong_key = True
    assert browser.get(sent_back(browser)).status_code == 401
    stand.wrong_key = False
    back = sent_back(browser)
    stranger = Browser(browser.http.app)  # type: ignore[arg-type]
    assert stranger.get(back).status_code == 401, "a link that somebody else began"
    assert browser.get(back.replace("state=", "state=x")).status_code == 401
    assert browser.get("/sign-in/provider/back?error=access_denied").status_code == 401
    assert known(browser) == []


def test_a_provider_that_is_gone_is_said_to_be(tmp_path: Path) -> None:
    filled(str(tmp_path / "cases.db"))
    gone = Provider("http://127.0.0.1:9", "console", "secret", ROLES)
    browser = Browser(create_app(settings(str(tmp_path / "cases.db"), None, Clock(), provider=gone)))
    found = browser.get("/sign-in/provider")
    assert found.status_code == 502 and "cannot be reached" in found.text


def test_a_provider_is_set_up_with_care(tmp_path: Path) -> None:
    held = settings("cases.db", None, Clock())
    for wrong in (
        Provider("http://idp.example", "console", "secret", ROLES),
        Provider("https://idp.example", "console", "secret", ()),
        Provider("https://idp.example", "console", "secret", (("all", "king"),)),
    ):
        with pytest.raises(SetupError):
            check(held._replace(provider=wrong))
    check(held._replace(provider=Provider("https://idp.example", "console", "secret", ROLES)))
