"""What the endpoint counted, in the text format of Prometheus. No account is in it."""

from __future__ import annotations

import threading
from collections import Counter

from clonewatch_gateway.decisions import Decision
from clonewatch_gateway.following import Follower
from clonewatch_gateway.redis_counters import RedisMinutes
from clonewatch_gateway.saying import mode

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Metrics:
    """Counts of decisions by action, mode and reason; safe for threads."""

    def __init__(self) -> None:
        self._decisions: Counter[tuple[str, str, str, int]] = Counter()
        self._lock = threading.Lock()

    def count(self, decision: Decision) -> None:
        """Count a decision."""
        with self._lock:
            self._decisions[decision.action, mode(decision), decision.reason, decision.would] += 1

    def text(self, follower: Follower, now: float, counters: object = None) -> str:
        """Everything, with the state of the list, and of counters that several machines share."""
        watch = follower.current
        with self._lock:
            held = sorted(self._decisions.items())
        lines = ["# TYPE clonewatch_decisions_total counter"]
        for (action, how, reason, would), count in held:
            labels = {"action": action, "mode": how, "reason": reason, "would": str(would or 200)}
            lines.append(f"clonewatch_decisions_total{{{_labels(labels)}}} {count}")
        state = {
            "list_in_use": 0 if follower.idle(now) else 1,
            "list_serial": watch.serial if watch else 0,
            "list_accounts": watch.accounts if watch else 0,
            "list_valid_until_seconds": watch.valid_until if watch else 0,
            "list_problem": 1 if follower.problem else 0,
        }
        if isinstance(counters, RedisMinutes):
            state["budgets_shared"] = 0 if counters.problem else 1
        for name, value in state.items():
            lines += [f"# TYPE clonewatch_{name} gauge", f"clonewatch_{name} {value}"]
        return "\n".join(lines) + "\n"


def _labels(named: dict[str, str]) -> str:
    """Labels; values are printable ASCII without quotation marks and backslashes, as the reader of lists asks for."""
    return ",".join(f'{name}="{value}"' for name, value in named.items())
