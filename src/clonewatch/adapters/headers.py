"""Request headers in the ways that software logs them."""

from __future__ import annotations

from clonewatch.adapters.bodies import Row, put

_SDK = "x-stainless-lang"
_SDK_VERSION = "x-stainless-package-version"
_MOST_HEADERS = 200
_LONGEST = 64 << 10  # characters of headers in one text


def headers(logged: object) -> dict[str, str]:
    r"""Names in lower case -> values, from an object, one with lists (Go), pairs, objects with names (HAR), or text.

    A header that was sent several times is one list with commas, which means the same (RFC 9110, 5.3).

    >>> headers({"User-Agent": ["demo/1.0"]}), headers([["user-agent", "demo/1.0"]])
    ({'user-agent': 'demo/1.0'}, {'user-agent': 'demo/1.0'})
    >>> headers([{"name": "User-Agent", "value": "demo/1.0"}]), headers("GET / HTTP/1.1\r\nUser-Agent: demo/1.0")
    ({'user-agent': 'demo/1.0'}, {'user-agent': 'demo/1.0'})
    """
    if isinstance(logged, dict):
        if all(isinstance(value, str) for value in logged.values()):
            return {name.lower(): str(value) for name, value in logged.items()}
        pairs = list(logged.items())
    elif isinstance(logged, str):
        pairs = [pair for line in logged[:_LONGEST].splitlines() if (pair := _pair(line)) is not None]
    elif isinstance(logged, list):
        pairs = _pairs(logged)
    else:
        return {}
    found: dict[str, str] = {}
    for name, value in pairs[:_MOST_HEADERS]:
        texts = [v for one in (value if isinstance(value, list) else [value]) if isinstance(v := _inner(one), str)]
        if isinstance(name, str) and texts:
            key = name.lower()
            found[key] = ", ".join([found[key], *texts] if key in found else texts)
    return found


def _pairs(logged: list[object]) -> list[tuple[object, object]]:
    """Names and values out of a list: of pairs, of objects, of lines, or of names and values in turn (Node)."""
    texts = [one for one in logged[: 2 * _MOST_HEADERS] if isinstance(one, str)]
    if len(texts) == len(logged) and len(texts) % 2 == 0 and not any(":" in name for name in texts[::2]):
        return list(zip(texts[::2], texts[1::2], strict=True))
    return [pair for item in logged[:_MOST_HEADERS] if (pair := _pair(item)) is not None]


def _inner(value: object) -> object:
    """The value in an object about a value (CloudFront); others as they are."""
    return value.get("value") if isinstance(value, dict) else value


def fill_from_headers(logged: object, row: Row) -> None:
    """Fill the client's build from request headers; what is filled already stays."""
    if logged and (found := headers(logged)):
        put(row, "user_agent", found.get("user-agent"))
        if _SDK in found:
            put(row, "sdk", f"{found[_SDK]} {found.get(_SDK_VERSION, '')}".strip())


def _pair(item: object) -> tuple[object, object] | None:
    if isinstance(item, list) and len(item) == 2:
        return item[0], item[1]
    if isinstance(item, dict):
        name = item.get("name", item.get("key"))
        return (name, item.get("value")) if name is not None or len(item) != 1 else next(iter(item.items()))
    if isinstance(item, str) and ":" in item:
        name, _, value = item.partition(":")
        return name, value.strip()
    return None
