"""Who and where, in every format: values that software writes for accounts and addresses, as what they mean."""

from __future__ import annotations

import re
from collections.abc import Callable

import pyarrow as pa
import pyarrow.compute as pc

from clonewatch.adapters.bodies import parsed
from clonewatch.adapters.client_addresses import client_address
from clonewatch.adapters.columns import Columns, Values
from clonewatch.adapters.placeholders import NOBODY, SIGNS, has_sign, is_nobody, told, unwrapped, visible
from clonewatch.adapters.text_columns import as_bytes, pylist, text_of
from clonewatch.adapters.values import as_json
from clonewatch.ports.mapping import Hops

# An assumed role of AWS: the role is who is billed, the last part is chosen anew by every session.
_ROLE = re.compile(r"(arn:aws[\w-]{0,16}:sts::\d{0,12}:assumed-role/[^/]{1,128})/(.{1,128})")
_ROLE_SIGN = ":assumed-role/"
# One with nothing but zeros is no address.
_PLAIN_ADDRESS = r"^(?:[0-9.]*[1-9][0-9.]*|[0-9a-f:]*[1-9a-f][0-9a-f:]*)$"
_OF_IPV4, _ZEROS = b"0123456789.", b"0.0.0.0"
# What needs a closer look, for columns: as `_is_odd` says it of one text.
_SIGNS = tuple(sign.encode() for sign in SIGNS)
_BASE64 = r"^[A-Za-z0-9+/_-]{40,}={0,2}$"
_BODIES = (dict, list)
_ENCRYPTED = '"encrypted"'
_HOLDS_NONE = ("{}", "[]", '{"data":')
_NOTHING = frozenset(("{}", "[]", "null"))  # bodies without anything in them
_LONGEST_NOTHING = max(map(len, _NOTHING))
_JSON = '{["'
_LEAST_BASE64 = 40  # characters: no word is that long
_SHORT = 1024  # characters of a logged body in text that is examined for redaction: a redacted one is short


def settled(found: Columns, hops: Hops = Hops()) -> Columns:  # noqa: B008 - immutable
    """The same columns, where accounts are accounts, addresses are addresses and prompts are prompts.

    Words for nobody are no accounts; the sessions of an assumed role are one account, and the name of the session is
    the end user where none is given; an address loses its port and its proxies; a prompt that the logger redacted is
    none.

    >>> made = settled({"account_id": ["None", "acme"], "client_ip": ["203.0.113.7:9", None]})
    >>> made["account_id"], made["client_ip"]
    ([None, 'acme'], ['203.0.113.7', None])
    """
    if "account_id" in found and not _plainly_named(found["account_id"]):
        _roles(found)
        found["account_id"] = accounts(found["account_id"])
    for name in ("org_id", "end_user_id"):
        if name in found:
            found[name] = _each(found[name], lambda v: None if is_nobody(v) else v)
    _provenance(found)
    if "client_ip" in found:
        found["client_ip"] = addresses(found["client_ip"], hops)
    if isinstance(messages := found.get("messages"), list):
        found["messages"] = [_as_sound_json(m) if m.__class__ in _BODIES else m for m in messages]
    for name in ("messages", "system_text", "response_text"):
        if name in found:
            found[name] = _texts(found[name])
    return found


def accounts(values: Values) -> Values:
    """A column of accounts, where words for nobody are no accounts, without white space around the others.

    >>> accounts([" acme ", "<nil>", 7])
    ['acme', None, 7]
    """
    return _each(values, lambda v: None if is_nobody(v) else visible(v) if isinstance(v, str) else v)


def addresses(values: Values, hops: Hops = Hops()) -> Values:  # noqa: B008 - immutable
    """A column of addresses as the clients' own."""

    def own(value: object) -> object:
        if isinstance(value, list):
            value = ", ".join(v for v in value if isinstance(v, str))  # a header that was sent twice
        return client_address(value, hops) if isinstance(value, str) else value

    if isinstance(values, pa.Array) and pa.types.is_nested(values.type):
        values = values.to_pylist()
    texts = _as_texts(values)
    if texts is not None and _all_plain(texts):
        return texts
    return _each(values, own)


def _as_texts(values: Values) -> pa.Array | None:
    """A column as text; None where it holds anything else."""
    if isinstance(values, pa.Array):
        return values if _is_text(values) else None
    try:
        return pa.array(values, pa.string())
    except (pa.ArrowInvalid, pa.ArrowTypeError, UnicodeEncodeError):
        return None  # lists and objects among them


def _all_plain(texts: pa.Array) -> bool:
    """Whether all addresses are plain ones, as nearly always."""
    held = text_of(texts).tobytes()
    if _ZEROS not in held and not held.translate(None, _OF_IPV4):
        return True
    plain = pc.match_substring_regex(as_bytes(texts.unique()), _PLAIN_ADDRESS)
    return bool(pc.all(plain.fill_null(True)).as_py())


def _roles(found: Columns) -> None:
    given = found["account_id"]
    if isinstance(given, pa.Array):
        if not _is_text(given) or _ROLE_SIGN.encode() not in text_of(given).tobytes():
            return
        given = pylist(given)
    elif not any(_ROLE_SIGN in a for a in {a for a in given if isinstance(a, str)}):
        return
    matches = [_ROLE.fullmatch(a.strip()) if isinstance(a, str) and _ROLE_SIGN in a else None for a in given]
    if not any(matches):
        return
    found["account_id"] = [m[1] if m else a for m, a in zip(matches, given, strict=True)]
    users = found.get("end_user_id", [None] * len(matches))
    users = pylist(users) if isinstance(users, pa.Array) else users
    found["end_user_id"] = [m[2] if m and u is None else u for m, u in zip(matches, users, strict=True)]
    known = found.get("end_user_provenance", [None] * len(matches))
    known = known.to_pylist() if isinstance(known, pa.Array) else known
    found["end_user_provenance"] = [
        "claimed" if m and u is None else k for m, u, k in zip(matches, users, known, strict=True)
    ]


def _plainly_named(values: Values) -> bool:
    """Whether all values name accounts as they are: quick, and nearly always so."""
    if not isinstance(values, list):
        return False
    try:
        words: set[str] = set(values)  # type: ignore[arg-type]
        joined = "".join(words)
    except TypeError:  # numbers, objects, or nothing at all
        return False
    if not joined.isascii() or joined.split() != [joined] or _ROLE_SIGN in joined:
        return False
    return NOBODY.isdisjoint(map(str.lower, words))


def _provenance(found: Columns) -> None:
    """Nobody vouches for an end user who is none."""
    told, users = found.get("end_user_provenance"), found.get("end_user_id")
    if isinstance(told, list) and isinstance(users, list) and None in users:
        found["end_user_provenance"] = [None if user is None else one for one, user in zip(told, users, strict=True)]


def _is_text(values: pa.Array) -> bool:
    return bool(pa.types.is_string(values.type) or pa.types.is_large_string(values.type))


def _each(values: Values, of: Callable[[object], object]) -> Values:
    """A column with a function applied to each distinct value; the same object where that changes nothing."""
    if isinstance(values, pa.Array):
        if pa.types.is_dictionary(values.type):
            words = values.dictionary
            changed = _each(words, of)
            return values if changed is words else pa.array(changed, words.type).take(values.indices)
        if not _is_text(values):
            return values
        words = values.unique()
        if not any(of(v) != v for v in pylist(words)):
            return values
        return [of(v) for v in pylist(values)]
    try:
        made = {v: new for v in set(values) if (new := of(v)) != v}
    except TypeError:  # lists and objects among them
        return [of(v) for v in values]
    return [made.get(v, v) for v in values] if made else values


def _texts(values: Values) -> Values:
    """Prompts and answers without what a logger put in their place."""
    if isinstance(values, pa.Array):
        if not _is_text(values):
            return values
        short = pc.less(pc.binary_length(values), _SHORT)
        if not pc.any(short).as_py() or not _may_be_told(values.filter(short)):
            return values
        return [_told(v) for v in pylist(values)]
    # Long JSON and long prose, by far the most, are passed over at once.
    looked_at = [
        v
        for v in values
        if v is not None and not (v.__class__ is str and len(v) >= _SHORT and (v[0] in _JSON or " " in v[:64]))
    ]
    return [_told(v) for v in values] if any(map(_is_odd, looked_at)) else values


def _may_be_told(texts: pa.Array) -> bool:
    """Whether some text of a column needs a closer look; cheap enough for every column of prompts."""
    held = text_of(texts).tobytes()
    if any(sign[-1:] in held and sign in held for sign in _SIGNS):
        return True
    lengths = pc.binary_length(texts)
    tiny = pc.less_equal(lengths, _LONGEST_NOTHING)
    if pc.any(tiny).as_py() and pc.any(pc.is_in(texts.filter(tiny), pa.array(_NOTHING, texts.type))).as_py():
        return True
    long = as_bytes(texts.filter(pc.greater_equal(lengths, _LEAST_BASE64)))
    unbroken = pc.match_substring(pc.binary_slice(long, 0, _LEAST_BASE64), b" ")
    long = long.filter(pc.invert(unbroken))
    return bool(len(long) and pc.any(pc.match_substring_regex(long, _BASE64)).as_py())


def _as_sound_json(body: object) -> object:
    """Messages or a request as the JSON they become, in which what a logger put is found at a look; else unchanged."""
    held = as_json(body)
    if held is None or has_sign(held) or _ENCRYPTED in held or held[:8] in _HOLDS_NONE:
        return body
    return held


def _is_odd(value: object) -> bool:
    """Whether a text needs a closer look: cheap enough for every prompt."""
    if isinstance(value, str):
        return (len(value) < _SHORT and (has_sign(value) or value in _NOTHING)) or _may_be_base64(value)
    return isinstance(value, list | dict)


def _may_be_base64(text: str) -> bool:
    return len(text) >= _LEAST_BASE64 and text[:1] not in _JSON and " " not in text[:64]


def _told(value: object) -> object:
    if isinstance(value, str):
        if len(value) <= _LONGEST_NOTHING and value in _NOTHING:
            return None
        text = unwrapped(value) if _may_be_base64(value) else value
        if text is None or len(text) >= _SHORT or not has_sign(text):
            return text
        body = parsed(text)
        kept = told(body)
        return text if kept is body or kept == body else kept
    return told(value) if isinstance(value, list | dict) else value
