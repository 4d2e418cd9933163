"""The decision point: account, facts, watch list and time to a decision. Pure: it reads no clock, file or network."""

from __future__ import annotations

from clonewatch_gateway.decisions import OBSERVE, Decision, Facts
from clonewatch_gateway.watch_list import WatchList

NO_FACTS = Facts()
NO_LIST = Decision(OBSERVE, "no_list", "", 0, "", False)


def decide(account: str, facts: Facts, watch: WatchList | None, now: float) -> Decision:
    """What to do with a request. now: seconds since 1970, UTC.

    Whatever is missing, stale, unknown or incomplete is observed, with a reason that says so: a fault of the list never
    refuses anybody.
    """
    if watch is None:
        return NO_LIST
    if not watch.from_ <= now < watch.valid_until:
        return watch.stale if now >= watch.valid_until else watch.early
    entry = watch.entry(account)
    if entry is None:
        return watch.not_listed
    action = entry.action
    if action is None or entry.fault or now >= entry.expires:
        reason = "unknown_action" if action is None else entry.fault or "lapsed"
        return Decision(OBSERVE, reason, entry.case, entry.expires, watch.origin, False)
    reason, status, told, retry_after, changes, charge = action.act(entry, facts, now)
    if not entry.enforce:
        # Nothing to carry out, so that a gateway that does not look at `simulated` acts on nobody either.
        return Decision(action.name, reason, entry.case, entry.expires, watch.origin, True, (), 0, (), charge, status)
    headers = entry.told if told else ()
    if retry_after and headers:
        headers = (*headers, ("retry-after", str(retry_after)))
    return Decision(
        action.name, reason, entry.case, entry.expires, watch.origin, False, headers, status, changes, charge, status
    )
