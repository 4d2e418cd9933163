"""What LiteLLM says in several of its logs: kinds of calls, failures, tags, accounts, and request bodies."""

from __future__ import annotations

import re
from collections.abc import Mapping

from clonewatch.adapters.any_body import Wire, fill_from_bodies
from clonewatch.adapters.bodies import CLAIMED, Row, claimed, fit, inner, parsed, put
from clonewatch.adapters.instants import instant
from clonewatch.adapters.placeholders import is_nobody
from clonewatch.adapters.values import MISSING

# `call_type` without the "a" of asynchronous calls; many have a second spelling.
OPERATIONS = {
    "completion": "chat",
    "chat_completion": "chat",
    "anthropic_messages": "chat",
    "responses": "chat",
    "generate_content": "chat",
    "generate_content_stream": "chat",
    "google_generate_content": "chat",
    "pass_through_endpoint": "chat",
    "text_completion": "completion",
    "embedding": "embedding",
    "embeddings": "embedding",
    "create_batch": "batch",
    "retrieve_batch": "batch",
}
# Errors that have no code: LiteLLM's own classes, whose statuses are those of the exceptions it raises.
_ERRORS = {
    "APIConnectionError": 500,
    "APIResponseValidationError": 500,
    "AuthenticationError": 401,
    "BadGatewayError": 502,
    "BadRequestError": 400,
    "BudgetExceededError": 429,
    "ContentPolicyViolationError": 400,
    "ContextWindowExceededError": 400,
    "InternalServerError": 500,
    "NotFoundError": 404,
    "PermissionDeniedError": 403,
    "ProxyException": 400,
    "RateLimitError": 429,
    "RouterRateLimitError": 429,
    "ServiceUnavailableError": 503,
    "Timeout": 408,
    "UnprocessableEntityError": 422,
    "UnsupportedParamsError": 400,
}
# Where the account stands, beside the call and in its metadata.
_ACCOUNTS = (("user", "user_api_key_user_id"), ("team_id", "user_api_key_team_id"), ("api_key", "user_api_key_hash"))
_CODE = re.compile(r"[Ee]rror code: ([45]\d\d)(?!\d)")
_MOST_MESSAGE = 512  # characters of an error message that are searched
_NUMBERS = (float, int)
_MOST_MS = 1e9  # more is no duration of a call
# Columns that a usage object holds a level deeper.
_DETAILS = {
    "reasoning_tokens": ("completion_tokens_details", "output_tokens_details"),
    "cached_tokens": ("prompt_tokens_details", "input_tokens_details"),
}
_AGENT_TAG = "User-Agent: "
_EMPTY_TEXTS = ("", "{}", "[]", "null", "None")


def operation(call_type: object) -> str | None:
    """The operation of a call type, None for those that ask no model for text.

    >>> operation("acompletion"), operation("anthropic_messages"), operation("aimage_generation")
    ('chat', 'chat', None)
    """
    kind = str(call_type)
    return OPERATIONS.get(kind) or OPERATIONS.get(kind.removeprefix("a"))


def call_id(*ids: object) -> object:
    """The first id that is one: the gateway's own before that of the response, which whatever server answered chose.

    >>> call_id("None", "chatcmpl-1"), call_id("c1", "chatcmpl-1"), call_id(None, "")
    ('chatcmpl-1', 'c1', None)
    """
    for one in ids:
        if one is not None and (one.__class__ is not str or one not in MISSING):
            return one
    return None


def latency(start: object, end: object, row: Row) -> None:
    """Fill how long a call took from its start and its end, in any notation of times; what is filled stays."""
    if row.get("latency_ms") is not None:
        return
    if start.__class__ in _NUMBERS and end.__class__ in _NUMBERS:
        took: float = (end - start) * 1000
    else:
        begun, ended = instant(start), instant(end)
        took = (ended - begun) / 1000 if begun is not None and ended is not None else -1
    if 0 <= took < _MOST_MS:
        put(row, "latency_ms", round(took))


def wire(call_type: object) -> Wire:
    """The API that a call type belongs to."""
    return "anthropic" if "anthropic_messages" in str(call_type) else "openai"


def status(*said: object) -> int | None:
    """The HTTP status out of a word of success or failure, an error's code, or its class, the most telling first.

    >>> status("success"), status({"error_code": "429"}, "failure"), status({"error_class": "RateLimitError"})
    (200, 429, 429)
    >>> status("failure"), status(None, "litellm.RateLimitError: OpenAIException - Error code: 429 - {}")
    (None, 429)
    """
    for value in said:
        if value == "success":
            return 200
        if isinstance(value, str):
            if known := _in_message(value[:_MOST_MESSAGE]):
                return known
        elif isinstance(value, dict):
            code = fit("status", value.get("error_code"))
            known = code or _ERRORS.get(str(value.get("error_class") or ""))
            if known:
                return int(known)
    return None


def _in_message(text: str) -> int | None:
    """The status in the message of an error: its code, or that of the class which it names first."""
    if code := _CODE.search(text):
        return int(code[1])
    name = text.removeprefix("litellm.").partition(":")[0]
    return _ERRORS.get(name)


def account(line: Mapping[str, object], about: Mapping[str, object]) -> object:
    """Who is billed: the key's user, then its team, then the hash of the key; words for nobody are none of them."""
    for key, held in _ACCOUNTS:
        for name in (line.get(key), about.get(held)):
            if name is not None and not is_nobody(name):
                return name
    return None


def user_agent(tags: object, row: Row) -> None:
    """Fill the client's build from the request's tags, of which the longest names the version; what is filled stays."""
    if not tags or row.get("user_agent") is not None:
        return
    held = parsed(tags)
    named = [t.removeprefix(_AGENT_TAG) for t in held if isinstance(t, str) and t.startswith(_AGENT_TAG)] if isinstance(
        held, list
    ) else []  # fmt: skip
    put(row, "user_agent", max(named, key=len, default=None))


def usage(found: Mapping[str, object], row: Row) -> None:
    """Fill hidden and cached tokens, and counts that the log gives nowhere else, from a usage object."""
    if not found:
        return
    put(row, "input_tokens", found.get("prompt_tokens"), found.get("input_tokens"))
    put(row, "output_tokens", found.get("completion_tokens"), found.get("output_tokens"))
    for column, parts in _DETAILS.items():
        for part in parts:
            if part in found:
                put(row, column, inner(found, part).get(column))
    put(row, "cached_tokens", found.get("cache_read_input_tokens"))


def bodies(request: object, response: object, row: Row, api: Wire) -> None:
    """Fill `row` from request and response as LiteLLM logs them; what is filled already stays."""
    body, answer = parsed(request), parsed(response)
    own = row.get("exchange_id")
    rewritten = fill_from_bodies(body, answer if isinstance(answer, dict) else {}, row, api)
    row["exchange_id"] = own  # never that of the response
    if not isinstance(body, dict) and not row.get("logprobs"):
        row.pop("logprobs", None)
    if not rewritten and not is_empty(body):
        row["messages"] = body
    if isinstance(answer, str) and not is_empty(answer):
        put(row, "response_text", answer)


def is_empty(value: object) -> bool:
    """Whether a logged text or object holds nothing: LiteLLM stores `{}` where it stores no prompts."""
    return not value or (isinstance(value, str) and value.strip() in _EMPTY_TEXTS)


def end_user(row: Row, *values: object) -> None:
    """Fill the end user, which a client names in its request body or in a header."""
    named = [value for value in values if not is_nobody(value)]
    if named:
        claimed(row, *named)
    if row.get("end_user_id") is not None:
        row.setdefault("end_user_provenance", CLAIMED)
