"""Signing in with an identity provider: OpenID Connect, authorisation code with PKCE.

What a flow has to remember (state, nonce and the verifier of PKCE) is in a signed cookie of ten minutes, which is sent
to the paths of this module only.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from functools import cache
from typing import Any, cast

import httpx2
from authlib.integrations.base_client.errors import OAuthError
from authlib.integrations.starlette_client import OAuth, StarletteOAuth2App
from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response
from joserfc.errors import JoseError

from clonewatch.cases import people
from clonewatch.cases.changes import Who
from clonewatch.cases.people import ROLES, Person
from clonewatch.cases.records import CONSOLE
from clonewatch.cases.store import Writing
from clonewatch.service.pages import bare, is_local
from clonewatch.service.routes.sign_in import enter, entered
from clonewatch.service.settings import Provider
from clonewatch.service.visits import settings_of, store_of

router = APIRouter()
PATH = "/sign-in/provider"
_NEXT = "next"
_LOG = logging.getLogger(__name__)


@router.get(PATH)
async def begin(request: Request, next: str = "/") -> Response:
    """Send the browser to the provider."""
    provider = settings_of(request).provider
    if provider is None:
        return _refused(request, "This console has no identity provider.", 404)
    request.session[_NEXT] = next if is_local(next) else "/"
    try:
        where = f"{settings_of(request).url.rstrip('/')}{PATH}/back"
        return cast("Response", await _client(provider).authorize_redirect(request, where))
    except (httpx2.HTTPError, OAuthError, KeyError, ValueError) as error:
        return _unreachable(request, error)


@router.get(f"{PATH}/back")
async def come_back(request: Request) -> Response:
    """Where the provider sends the browser back, with a code that is exchanged for who it is."""
    provider = settings_of(request).provider
    if provider is None:
        return _refused(request, "This console has no identity provider.", 404)
    try:
        token = await _client(provider).authorize_access_token(request)
        claims: Mapping[str, Any] = token["userinfo"]
    except (OAuthError, JoseError, KeyError) as error:
        _LOG.warning("sign-in refused: %s: %s", type(error).__name__, error)
        return _refused(request, "The identity provider's answer is not valid. Try to sign in again.", 401)
    except (httpx2.HTTPError, ValueError) as error:
        return _unreachable(request, error)
    place = request.session.pop(_NEXT, "/")
    return await run_in_threadpool(_enter, request, provider, claims, place)


def role_of(provider: Provider, claims: Mapping[str, Any]) -> str | None:
    """The best role that the groups of somebody give; None for none."""
    groups = claims.get(provider.groups) or []
    held = [provider.roles[one] for one in ([groups] if isinstance(groups, str) else groups) if one in provider.roles]
    return max(held, key=ROLES.index, default=None)


def _enter(request: Request, provider: Provider, claims: Mapping[str, Any], place: str) -> Response:
    role, settings = role_of(provider, claims), settings_of(request)
    if role is None:
        return _refused(request, "None of your groups has a role here. Ask whoever runs this console.", 403)
    with store_of(request).writing() as store:
        found = _person(store, provider, claims, role, settings.clock())
        token = enter(request, store, found, "identity provider") if found.active else ""
    if not token:
        return _refused(request, "You are kept out of this console.", 403)
    return entered(settings, token, place)


def _person(store: Writing, provider: Provider, claims: Mapping[str, Any], role: str, at: str) -> Person:
    """The person of these claims, made on the first visit, with the role that the provider gives now."""
    subject = f"{provider.issuer} {claims['sub']}"
    who = Who("identity provider", at, CONSOLE)
    found = people.of_subject(store.connection, subject)
    if found is None:
        return people.add(store, _free_name(store, claims), role, who, subject)
    return people.give_role(store, found.name, role, who)


def _free_name(store: Writing, claims: Mapping[str, Any]) -> str:
    """A name that nobody has: somebody who is called like a local person is not that person."""
    wanted = str(claims.get("preferred_username") or claims.get("email") or claims["sub"]).casefold()
    clean = "".join(sign if sign.isascii() and (sign.isalnum() or sign in "._@-") else "-" for sign in wanted)
    clean = clean.lstrip("._@-")[:58] or "person"
    names = {one.name for one in people.everybody(store.connection)}
    return next(name for name in (clean, *(f"{clean}-{n}" for n in range(2, 10_000))) if name not in names)


@cache
def _client(provider: Provider) -> StarletteOAuth2App:
    found = OAuth().register(
        "provider",
        client_id=provider.client_id,
        client_secret=provider.client_secret,
        server_metadata_url=f"{provider.issuer.rstrip('/')}/.well-known/openid-configuration",
        client_kwargs={"scope": f"openid profile email {provider.groups}", "code_challenge_method": "S256"},
    )
    return found


def _unreachable(request: Request, error: Exception) -> Response:
    _LOG.warning("identity provider: %s: %s", type(error).__name__, error)
    return _refused(request, "The identity provider cannot be reached.", 502)


def _refused(request: Request, said: str, status: int) -> Response:
    return bare(request, "message.html.j2", status, title="You are not signed in", said=said, fix="")
