"""The keys of the first JSON object of a head, which may be cut off inside that object."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

_TOKEN = re.compile(rb'"([^"\\]*(?:\\.[^"\\]*)*)"(\s*:)?|[{}\[\]]|[^\s{}\[\]:,"]+|"', re.DOTALL)
_DEEPEST = 4
_LONGEST = 64 * 1024  # bytes of a value to keep
_BOM = b"\xef\xbb\xbf"


@lru_cache(maxsize=8)
def outline(head: bytes) -> Mapping[str, str]:
    """Dotted paths of the first object's keys, to four levels, with plain values ("" for others).

    Recent results are cached, as every format needs the same outline of a file.
    A first array is entered; elements of inner lists count as their list. Empty if there is no JSON object.

    >>> outline(b'{"a": {"b": "x"}, "c": [{"d": 1}], "e": "cut of')
    {'a': '', 'a.b': 'x', 'c': '', 'c.d': '1', 'e': ''}
    """
    text = head.removeprefix(_BOM).lstrip()
    if text[:1] == b"[":
        text = text[1:].lstrip()
    if text[:1] != b"{":
        return {}
    keys: dict[str, str] = {}
    path: list[str] = []
    key = ""
    for token in _TOKEN.finditer(text):
        mark = token[0][:1]
        if token[0] == b'"':
            break  # a truncated string: the rest of the head is inside it
        if token[2] is not None:
            key = ".".join(filter(None, [*path, token[1].decode("utf-8", "replace")]))
            if len(path) <= _DEEPEST:
                keys.setdefault(key, "")
            key = token[1].decode("utf-8", "replace")
        elif mark in b"{[":
            path.append(key)
            key = ""
        elif mark in b"}]":
            if not path:
                break
            path.pop()
            if not path:
                break
            key = ""
        elif key and len(path) <= _DEEPEST:
            value = token[1] if mark == b'"' else token[0]
            name = ".".join(filter(None, [*path, key]))
            if len(value) <= _LONGEST and keys.get(name) == "":
                keys[name] = value.decode("utf-8", "replace")
            key = ""
    return keys
