"""Values that stand for something else: words for "nobody", and text that a logger put in place of a prompt."""

from __future__ import annotations

import binascii
import re
from base64 import b64decode
from collections.abc import Mapping

from clonewatch.adapters.values import MISSING

# What software writes where there is no account; compared without case.
NOBODY = frozenset(word.lower() for word in MISSING) | {
    "unknown", "(unknown)", "anonymous", "anonymoususer", "unauthenticated", "default_user_id", "(null)", "(none)",
    "<none>", "{}", "[]", "''", '""', "00000000-0000-0000-0000-000000000000",
}  # fmt: skip
_LONGEST_WORD = 16
_ZEROS = "00000000-"
# No white space to Python, and invisible: a mark of the byte order, and joiners.
_INVISIBLE = "\u200b\u2060\ufeff"
# Longer texts are compared with nothing: a placeholder is a few words.
_MOST_PLACEHOLDER = 64
_REDACTED = re.compile(
    r"[\[<({*\s]*(?:redacted|content[ _-]redacted|redacted[ _-](?:by|due|content)[\w -]*|\*{3,})[\]>)}*.\s]*",
    re.IGNORECASE,
)
# How a redaction is written in JSON, whatever stands around it: a quick look before a closer one.
SIGNS = ("edacted", "EDACTED", "***", "data:")
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{40,}={0,2}")
_DATA_URL = re.compile(r"data:[\w.+-]{0,64}/?[\w.+-]{0,64};base64,")
# Where a request body holds text that people wrote.
_CONTENT = frozenset(("messages", "input", "contents", "prompt", "system", "instructions", "inputText", "content"))


# What is left of a request tells something as long as it has one of these.
_TELLING = _CONTENT | {"tools", "functions", "response_format", "text"}


def is_nobody(value: object) -> bool:
    """Whether a value names no account.

    >>> is_nobody("None"), is_nobody("default_user_id"), is_nobody("nina"), is_nobody(0)
    (True, True, False, False)
    """
    if value is None or value == "":
        return True
    if not isinstance(value, str):
        return False
    return (len(value) <= _LONGEST_WORD or value.startswith(_ZEROS)) and visible(value).lower() in NOBODY


def visible(text: str) -> str:
    r"""A text without the white space, and the invisible characters, around it.

    >>> visible("\ufeff acme\u200b\n")
    'acme'
    """
    held = text.strip()
    return held if held.isascii() else held.strip(_INVISIBLE).strip()


def is_placeholder(text: str) -> bool:
    """Whether a text is what a logger wrote in place of the prompt, or a file in base64.

    >>> is_placeholder("redacted-by-litellm"), is_placeholder("[REDACTED]"), is_placeholder("data:image/png;base64,iV")
    (True, True, True)
    >>> is_placeholder("Why was this redacted?")
    False
    """
    if len(text) <= _MOST_PLACEHOLDER and _REDACTED.fullmatch(text):
        return True
    return text.startswith("data:") and _DATA_URL.match(text) is not None


def has_sign(text: str) -> bool:
    """Whether a closer look is needed: cheap enough for every prompt, as one character is found faster than several."""
    stars, capitals = "*" in text and "***" in text, "D" in text and "EDACTED" in text
    return stars or capitals or "edacted" in text or "data:" in text


def told(body: object) -> object:
    """Messages, a request body or a text without what a logger put in place of the text; None if nothing is left.

    >>> told([{"role": "user", "content": "redacted-by-litellm"}]) is None
    True
    >>> told([{"role": "system", "content": "[REDACTED]"}, {"role": "user", "content": "Name a sea"}])
    [{'role': 'user', 'content': 'Name a sea'}]
    """
    if isinstance(body, str):
        return None if is_placeholder(body) else body
    if isinstance(body, list):
        if not any(map(_is_message_placeholder, body)):
            return body
        return [m for m in body if not _is_message_placeholder(m)] or None
    if not isinstance(body, dict):
        return body
    if body.get("type") == "encrypted" or (len(body) == 1 and isinstance(body.get("data"), str)):
        return None  # a body that the logger encrypted
    changed: dict[str, object] = {}
    for key in _CONTENT.intersection(body):
        value = body[key]
        if isinstance(value, str) or (isinstance(value, list) and key != "content"):
            kept = told(value)
            if kept is not value:
                changed[key] = kept
    if not changed:
        return body
    left = {key: value for key, value in (body | changed).items() if key not in changed or value is not None}
    return None if _TELLING.isdisjoint(left) else left


def _is_message_placeholder(message: object) -> bool:
    if message.__class__ is not dict and not isinstance(message, Mapping):
        return isinstance(message, str) and is_placeholder(message)
    content = message.get("content")
    if content.__class__ is str and len(content) > _MOST_PLACEHOLDER and content[:5] != "data:":
        return False  # by far the most
    if isinstance(content, list):
        texts = [part.get("text") if isinstance(part, dict) else part for part in content]
        return bool(texts) and all(isinstance(t, str) and is_placeholder(t) for t in texts)
    return isinstance(content, str) and is_placeholder(content)


def unwrapped(text: str) -> str | None:
    """A body that was logged in base64 as the JSON it holds; None if it holds no text; other text stays as it is.

    >>> unwrapped("eyJtZXNzYWdlcyI6IFt7InJvbGUiOiAidXNlciIsICJjb250ZW50IjogIkhpIn1dfQ==")
    '{"messages": [{"role": "user", "content": "Hi"}]}'
    >>> unwrapped("Name a river")
    'Name a river'
    """
    if " " in text[:64] or not _BASE64.fullmatch(text):
        return text
    try:
        held = b64decode(text.replace("-", "+").replace("_", "/") + "=" * (-len(text) % 4), validate=True)
        plain = held.decode()
    except (binascii.Error, ValueError):
        # Bytes that are no text, such as an encrypted body. A word that only looks like base64 has no mixed case.
        mixed = any(c.isupper() for c in text) and any(c.islower() for c in text) and any(c.isdigit() for c in text)
        return None if mixed else text
    return plain if plain[:1] in ("{", "[") else text
