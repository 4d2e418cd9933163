"""The canary: an account of the provider's own that each publishing limits for seconds, to prove that gateways act."""

from __future__ import annotations

import re
from typing import Any, Literal, NamedTuple

import msgspec

from clonewatch.kernels.toml_lines import Fault, Lines

TABLE = "canary"
SECONDS, MOST_SECONDS = 60, 300
# A request asks for more than this, or the next one does: so it is refused with 429, and nothing worse is ever done.
ACTION, BOUND = "budget", {"tokens_per_minute": 1}
_ACCOUNT = re.compile(r"[!-~]{1,200}")


class _Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    account: str
    approved_by: str = ""
    mode: Literal["shadow", "enforce"] = "shadow"
    seconds: int = SECONDS


class Canary(NamedTuple):
    """An account that nobody else uses. seconds: how long each publishing limits it."""

    account: str
    approved_by: str
    mode: str
    seconds: int


def canary(held: Any, appeal_url: str, lines: Lines, faults: list[Fault]) -> Canary | None:
    """The canary of a policy file; None where there is none, or something is wrong, which is added to the faults."""
    if held is None:
        return None

    def fault(key: str, what: str, fix: str) -> None:
        faults.append(Fault(lines.of(TABLE, 0, key), what, fix))

    try:
        one = msgspec.convert(held, _Table)
    except msgspec.ValidationError as error:
        key = re.search(r"`\$\.(\w+)", str(error)) or re.search(r"unknown field `(\w+)`", str(error))
        what = str(error).partition(" - at ")[0].replace("Object", "the table")
        fault(key[1] if key else "", what, "Write it as docs/using/policies.md does")
        return None
    before = len(faults)
    if not _ACCOUNT.fullmatch(one.account):
        fault("account", "the canary's account is no id", "Name an account of your own that nobody else uses")
    if not 1 <= one.seconds <= MOST_SECONDS:
        fault("seconds", f"a canary is limited for 1 to {MOST_SECONDS} seconds, not {one.seconds}", "Use 60")
    if one.mode == "enforce" and not one.approved_by.strip():
        fault("mode", "the canary is enforced, and nobody approved it", "State approved_by")
    if one.mode == "enforce" and not appeal_url:
        fault("mode", "the canary is enforced, and nobody could appeal", "State appeal_url at the top")
    return Canary(one.account, one.approved_by, one.mode, one.seconds) if len(faults) == before else None
