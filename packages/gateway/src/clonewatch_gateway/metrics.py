"""What the endpoint counted, in the text format of Prometheus. No account is in it."""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections import Counter
from itertools import accumulate

from clonewatch_gateway.decisions import Decision
from clonewatch_gateway.following import Follower
from clonewatch_gateway.redis_counters import RedisMinutes
from clonewatch_gateway.saying import mode

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
# Upper bounds of the times that are told apart, in seconds; a question is to be answered within 5 ms.
BOUNDS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1)


class Metrics:
    """Counts of decisions by action, mode and reason, and times of answers; safe for threads."""

    def __init__(self) -> None:
        self._decisions: Counter[tuple[str, str, str, int]] = Counter()
        self._within = [0] * (len(BOUNDS) + 1)
        self._seconds = 0.0
        self._lock = threading.Lock()

    def count(self, decision: Decision) -> None:
        """Count a decision."""
        with self._lock:
            self._decisions[decision.action, mode(decision), decision.reason, decision.would] += 1

    def took(self, seconds: float) -> None:
        """Count an answer: from when its question was read to when it was handed to the connection."""
        with self._lock:
            self._within[bisect_left(BOUNDS, seconds)] += 1
            self._seconds += seconds

    def text(self, follower: Follower, now: float, counters: object = None) -> str:
        """Everything, with the state of the list, and of counters that several machines share."""
        watch = follower.current
        with self._lock:
            held = sorted(self._decisions.items())
            within, seconds = list(accumulate(self._within)), self._seconds
        lines = ["# TYPE clonewatch_decisions_total counter"]
        for (action, how, reason, would), count in held:
            labels = {"action": action, "mode": how, "reason": reason, "would": str(would or 200)}
            lines.append(f"clonewatch_decisions_total{{{_labels(labels)}}} {count}")
        lines.append("# TYPE clonewatch_answer_seconds histogram")
        for bound, count in zip((*map(str, BOUNDS), "+Inf"), within, strict=True):
            lines.append(f'clonewatch_answer_seconds_bucket{{le="{bound}"}} {count}')
        lines += [f"clonewatch_answer_seconds_sum {seconds:.6f}", f"clonewatch_answer_seconds_count {within[-1]}"]
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
