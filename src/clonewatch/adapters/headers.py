"""Request headers in the ways that software logs them."""

from __future__ import annotations

from clonewatch.adapters.bodies import Row, put

_SDK = "x-stainless-lang"
_SDK_VERSION = "x-stainless-package-version"
_MOST_HEADERS = 200


def headers(logged: object) -> dict[str, str]:
    """Names in lower case -> values: from an object, one with lists (Go), pairs, or objects with name and value (HAR).

    A header that was sent several times is one list with commas, which means the same (RFC 9110, 5.3).

    >>> headers({"User-Agent": ["demo/1.0"]}), headers([["user-agent", "demo/1.0"]])
    ({'user-agent': 'demo/1.0'}, {'user-agent': 'demo/1.0'})
    >>> headers([{"name": "User-Agent", "value": "demo/1.0"}])
    {'user-agent': 'demo/1.0'}
    """
    if isinstance(logged, dict):
        if all(isinstance(value, str) for value in logged.values()):
            return {name.lower(): str(value) for name, value in logged.items()}
        pairs = list(logged.items())
    elif isinstance(logged, list):
        pairs = [pair for item in logged[:_MOST_HEADERS] if (pair := _pair(item)) is not None]
    else:
        return {}
    found: dict[str, str] = {}
    for name, value in pairs[:_MOST_HEADERS]:
        texts = [v for v in (value if isinstance(value, list) else [value]) if isinstance(v, str)]
        if isinstance(name, str) and texts:
            key = name.lower()
            found[key] = ", ".join([found[key], *texts] if key in found else texts)
    return found


def fill_from_headers(logged: object, row: Row) -> None:
    """Fill the client's build from request headers; what is filled already stays."""
    found = headers(logged)
    if found:
        put(row, "user_agent", found.get("user-agent"))
        if _SDK in found:
            put(row, "sdk", f"{found[_SDK]} {found.get(_SDK_VERSION, '')}".strip())


def _pair(item: object) -> tuple[object, object] | None:
    if isinstance(item, list) and len(item) == 2:
        return item[0], item[1]
    if isinstance(item, dict):
        return item.get("name", item.get("key")), item.get("value")
    if isinstance(item, str) and ":" in item:
        name, _, value = item.partition(":")
        return name, value.strip()
    return None
