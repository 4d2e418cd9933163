"""A first field map for an unknown log, guessed from the names and the values of its keys."""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Callable
from typing import Any, NamedTuple

from clonewatch.adapters.instants import instant
from clonewatch.adapters.placeholders import is_nobody
from clonewatch.adapters.survey import Key, Survey, is_data
from clonewatch.model.schema import EXCHANGES

REQUIRED = ("account_id", "ts")
# Beside what is required, these are worth asking for: most links and tests live on them.
_WORTH_ASKING = ("exchange_id", "model", "client_ip", "api_key_id", "session_id", "user_agent", "messages")
_MOSTLY = 0.9  # share of values that have to fit: logs hold odd rows
_SPLIT = re.compile(r"[^a-z0-9]+")

# Names that say something only of the request itself: at the top, or under one of these.
_PLAIN = frozenset({"id", "key", "time", "date", "created", "code", "input", "output", "address", "system", "when"})
_NEUTRAL = frozenset({"request", "req", "event", "log", "call", "http", "body", "data", "record", "payload", "meta"})
# Ids of requests differ from row to row; ids of accounts come again.
_DIFFERENT = 0.98
_FEW_ROWS = 20

Check = Callable[[Any], bool]


class Guess(NamedTuple):
    """A field for an exchange column. sure: whether its name said so too, and not its values alone."""

    column: str
    path: str
    sure: bool


class _Rule(NamedTuple):
    """How a column is known. names: of its key, without signs and case, the likeliest first. fits: one of its values.

    alone: whether values say enough when no name does. differs: whether nearly every row has another value; None for
    either.
    """

    names: tuple[str, ...]
    fits: Check
    alone: bool = False
    differs: bool | None = None


def _is_id(value: Any) -> bool:
    return (isinstance(value, int) and not isinstance(value, bool)) or (isinstance(value, str) and len(value) <= 256)


def _is_account(value: Any) -> bool:
    return _is_id(value) and not is_nobody(value)


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= 200


def _is_model(value: Any) -> bool:
    return _is_name(value) and "/v1/" not in value and not value.startswith("/")


def _is_whole(value: Any) -> bool:
    if isinstance(value, bool):
        return False
    return (isinstance(value, int | float) and value == int(value) >= 0) or (isinstance(value, str) and value.isdigit())


def _is_real(value: Any) -> bool:
    return (isinstance(value, int | float) and not isinstance(value, bool)) or (
        isinstance(value, str) and bool(re.fullmatch(r"\d{1,3}(\.\d+)?", value))
    )


def _is_truth(value: Any) -> bool:
    return isinstance(value, bool) or (isinstance(value, str) and value.lower() in ("true", "false"))


def _is_status(value: Any) -> bool:
    return _is_whole(value) and 100 <= int(value) <= 599


def _is_address(value: Any) -> bool:
    try:
        ipaddress.ip_address(str(value).partition("%")[0])
    except ValueError:
        return False
    return isinstance(value, str)


def _is_time(value: Any) -> bool:
    return instant(value) is not None


def _is_country(value: Any) -> bool:
    return isinstance(value, str) and bool(re.fullmatch(r"[A-Z]{2}", value))


def _is_agent(value: Any) -> bool:
    return isinstance(value, str) and "/" in value


def _is_chat(value: Any) -> bool:
    return isinstance(value, str) or (isinstance(value, list) and all(isinstance(one, dict) for one in value))


_RULES: dict[str, _Rule] = {
    "exchange_id": _Rule(("exchangeid", "requestid", "reqid", "callid", "responseid", "completionid", "logid",
                          "eventid", "uuid", "id"), _is_id, differs=True),
    "ts": _Rule(("ts", "timestamp", "requesttime", "requestedat", "receivedat", "starttime", "startedat", "time",
                 "eventtime", "datetime", "createdat", "created", "loggedat", "date", "when"), _is_time, alone=True),
    "account_id": _Rule(("accountid", "account", "billingaccount", "customerid", "customer", "projectid", "project",
                         "tenantid", "tenant", "userid", "user", "uid", "clientid", "ownerid", "subscriberid",
                         "consumerid", "consumer", "member", "memberid"), _is_account, differs=False),
    "org_id": _Rule(("orgid", "organizationid", "organisationid", "org", "organization", "organisation", "companyid",
                     "company", "workspaceid", "teamid", "team"), _is_id),
    "api_key_id": _Rule(("apikeyid", "keyid", "apikey", "apikeyhash", "keyhash", "virtualkey", "key"), _is_id),
    "end_user_id": _Rule(("enduserid", "enduser", "safetyidentifier"), _is_id),
    "session_id": _Rule(("sessionid", "session", "conversationid", "threadid", "chatid", "traceid"), _is_id),
    "model": _Rule(("model", "modelname", "modelid", "engine", "deployment", "route"), _is_model),
    "status": _Rule(("status", "statuscode", "httpstatus", "responsestatus", "code"), _is_status),
    "stop_reason": _Rule(("stopreason", "finishreason"), _is_name),
    "input_tokens": _Rule(("inputtokens", "prompttokens", "tokensin", "intokens", "promptevalcount"), _is_whole),
    "output_tokens": _Rule(("outputtokens", "completiontokens", "tokensout", "outtokens", "evalcount"), _is_whole),
    "reasoning_tokens": _Rule(("reasoningtokens",), _is_whole),
    "cached_tokens": _Rule(("cachedtokens", "cachereadinputtokens"), _is_whole),
    "latency_ms": _Rule(("latencyms", "durationms", "elapsedms", "responsetimems", "tookms"), _is_whole),
    "stream": _Rule(("stream", "streaming", "isstream"), _is_truth),
    "max_tokens": _Rule(("maxtokens", "maxcompletiontokens", "maxoutputtokens"), _is_whole),
    "temperature": _Rule(("temperature",), _is_real),
    "top_p": _Rule(("topp",), _is_real),
    "client_ip": _Rule(("clientip", "ip", "remoteaddr", "remoteip", "sourceip", "srcip", "ipaddress", "ipaddr",
                        "xforwardedfor", "address"), _is_address, alone=True),
    "country": _Rule(("country", "countrycode"), _is_country),
    "asn": _Rule(("asn",), _is_whole),
    "user_agent": _Rule(("useragent", "httpuseragent", "agent", "ua"), _is_agent),
    "tls_fingerprint": _Rule(("ja4", "tlsfingerprint", "ja3"), _is_name),
    "system_text": _Rule(("systemprompt", "system", "instructions"), _is_chat),
    "messages": _Rule(("messages", "prompt", "userprompt", "question", "input", "query"), _is_chat),
    "response_text": _Rule(("response", "completion", "answer", "output", "responsetext"), _is_name),
}  # fmt: skip
# Most telling first: what one column takes, the next ones do not get.
_ORDER = ("ts", "client_ip", "account_id", "api_key_id", "session_id", *_RULES)


def guesses(found: Survey) -> list[Guess]:
    """Columns for which a key was found, in the order of the schema; each key at most once."""
    taken: dict[str, Guess] = {}
    usable = [key for key in found.keys if " | " not in key.path and not is_data(key.path)]
    for column in dict.fromkeys(_ORDER):
        rule = _RULES[column]
        free = [key for key in usable if all(guess.path != key.path for guess in taken.values())]
        fit = [key for key in free if _fits(key, rule, found)]
        named = sorted((place, key.path.count("."), key.path) for key in fit if (place := _place(key.path, rule)) >= 0)
        if named:
            taken[column] = Guess(column, named[0][2], True)
        elif rule.alone and len(likely := [key for key in fit if isinstance(key.values[0], str)]) == 1:
            taken[column] = Guess(column, likely[0].path, False)
    return [taken[column] for column in EXCHANGES.names if column in taken]


def _fits(key: Key, rule: _Rule, found: Survey) -> bool:
    # Parquet maps step into structs and take plain values only.
    if found.form == "parquet_map" and isinstance(key.values[0], list):
        return False
    if sum(map(rule.fits, key.values)) < _MOSTLY * len(key.values):
        return False
    if rule.differs is None or found.rows < _FEW_ROWS:
        return True
    return (len(set(map(str, key.values))) >= _DIFFERENT * found.rows) is rule.differs


def _place(path: str, rule: _Rule) -> int:
    """Place of the name that a path ends on among those of a rule, -1 for none: `user.id` is `userid`, then `id`."""
    parts = [part for part in _SPLIT.split(re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", path).lower()) if part]
    for take in range(min(len(parts), 4), 0, -1):
        name = "".join(parts[-take:])
        if name in rule.names and (name not in _PLAIN or take == len(parts) or parts[-take - 1] in _NEUTRAL):
            return rule.names.index(name)
    return -1


def starter(found: Survey, told: list[Guess]) -> str:
    """A field map as TOML, with a comment on every line that a person should check or fill in."""
    meanings = {column.name: column.meaning for column in EXCHANGES.columns}
    filled = {key.path: len(key.values) / found.rows for key in found.keys}
    have = {guess.column for guess in told}
    lines = [
        f"# A first map, guessed from {found.rows:,} rows. Check every line.",
        f'format = "{found.form}"',
        'time = "auto"  # or iso, s, ms, us, ns, or "s since 2026-01-01T00:00:00Z"',
        "",
        "[fields]",
    ]
    for guess in told:
        note = f"in {filled[guess.path]:.0%} of the rows" + ("" if guess.sure else ", guessed from its values: check")
        lines.append(f"{guess.column} = {json.dumps(guess.path, ensure_ascii=False)}  # {note}")
    for column in (*REQUIRED, *_WORTH_ASKING):
        if column not in have:
            need = "required" if column in REQUIRED else "not found"
            if column == "exchange_id":
                need = "not found, then made of file and row"
            lines.append(f'# {column} = ""  # {need}: {meanings[column]}')
    return "\n".join(lines) + "\n"
