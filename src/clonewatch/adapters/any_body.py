"""One exchange from its bodies, whichever API they belong to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from clonewatch.adapters import cloud_bodies, engine_bodies
from clonewatch.adapters.bodies import Row, anthropic, openai
from clonewatch.adapters.event_streams import assembled

Wire = Literal["openai", "anthropic", "gemini"]
_ANTHROPIC_ONLY = frozenset(("anthropic_version", "stop_sequences", "thinking"))


def fill_from_bodies(request: object, response: object, row: Row, otherwise: Wire = "openai") -> bool:
    """Fill `row` from a request and a response body; what is filled already stays.

    otherwise: the API where the bodies do not tell. Returns whether `messages` was filled too, as some request bodies
    have to be rewritten for fingerprinting; otherwise the body itself is what fingerprinting reads.
    """
    body: Mapping[str, object] = request if isinstance(request, dict) else {}
    kind = cloud_bodies.kind_of(body) or ("gemini" if otherwise == "gemini" and _is_gemini(response) else None)
    if kind is not None:
        cloud_bodies.fill(kind, body, response, row)
        return True
    answer = response if isinstance(response, dict) else assembled(response) if response else {}
    read = anthropic if api_of(body, answer, otherwise) == "anthropic" else openai
    read(body, answer, row)
    if engine_bodies.is_one(body, answer, response):
        prompt = engine_bodies.fill(body, response, row)
        if prompt is not None:
            row["messages"] = prompt
            return True
    return False


def api_of(request: Mapping[str, object], answer: Mapping[str, object], otherwise: Wire) -> Wire:
    """The API of an exchange: a gateway may serve several and log them to one file."""
    if "prompt" in request and "messages" not in request:
        return "openai"  # plain prompts, for which nothing but the names of parameters differs
    if answer:
        if "stop_reason" in answer or answer.get("type") == "message":
            return "anthropic"
        if "choices" in answer or "output" in answer:
            return "openai"
    metadata = request.get("metadata")  # free at OpenAI, this one key at Anthropic
    only_user = isinstance(metadata, dict) and metadata.keys() == {"user_id"}
    return "anthropic" if only_user or not _ANTHROPIC_ONLY.isdisjoint(request) else otherwise


def _is_gemini(response: object) -> bool:
    return isinstance(response, dict) and not {"candidates", "usageMetadata", "usage_metadata"}.isdisjoint(response)
