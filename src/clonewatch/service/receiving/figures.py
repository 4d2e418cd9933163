"""What is counted, as Prometheus reads it. No account, address or key is in it; senders by the name of their key."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry, Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

from clonewatch.live import status
from clonewatch.live.bus import Writer
from clonewatch.live.spool import held, sealed

CONTENT_TYPE = CONTENT_TYPE_LATEST


class Figures:
    """Counts of this process. in_flight: bytes of bodies that are not on the disk yet."""

    def __init__(self) -> None:
        self.requests: Counter[tuple[str, str]] = Counter()
        self.rows: Counter[tuple[str, str]] = Counter()
        self.rejected: Counter[str] = Counter()
        self.bytes = 0
        self.in_flight = 0
        self.expired = 0
        self.worker_starts = 0

    def text(self, spool: Writer) -> bytes:
        """Everything in the text format."""
        registry = CollectorRegistry()
        registry.register(_Collected(self, spool))
        return generate_latest(registry)


class _Collected(Collector):
    def __init__(self, figures: Figures, spool: Writer) -> None:
        self._figures, self._spool = figures, spool

    def collect(self) -> Iterator[Metric]:
        """The counts of this process, the spool, and what the worker last said."""
        own = self._figures
        answers = CounterMetricFamily(
            "clonewatch_requests", "Requests by path and status of the answer", labels=["path", "status"]
        )
        for (path, code), count in sorted(own.requests.items()):
            answers.add_metric([path, code], count)
        yield answers
        rows = CounterMetricFamily("clonewatch_rows", "Rows on the disk, by stream and key", labels=["stream", "key"])
        for (stream, key), count in sorted(own.rows.items()):
            rows.add_metric([stream, key], count)
        yield rows
        refused = CounterMetricFamily(
            "clonewatch_rows_refused", "Rows that were said to be unreadable, by key", labels=["key"]
        )
        for key, count in sorted(own.rejected.items()):
            refused.add_metric([key], count)
        yield refused
        yield CounterMetricFamily("clonewatch_body_bytes", "Bytes of bodies, inflated", value=own.bytes)
        yield CounterMetricFamily(
            "clonewatch_spool_expired", "Segments dropped unread, past their age", value=own.expired
        )
        yield CounterMetricFamily("clonewatch_worker_starts", "How often the worker began", value=own.worker_starts)
        yield _gauge("in_flight_bytes", "Bytes of bodies that are not on the disk yet", own.in_flight)
        yield _gauge("spool_bytes", "Bytes in the spool", held(self._spool.place))
        yield _gauge("bus_bytes", "Bytes that wait for the worker, as last seen", self._spool.size)
        yield _gauge("spool_bytes_most", "Bytes that the spool may hold", self._spool.bounds.size)
        yield _gauge("spool_sealed_segments", "Segments that the worker may take", len(sealed(self._spool.place)))
        yield from _worker(self._spool.place)


def _worker(place: Path) -> Iterator[Metric]:
    said_by = status.read(place)
    for name, said, value in (
        ("taken_exchanges", "Exchanges that the worker put into the state", said_by.exchanges),
        ("taken_repeated", "Exchanges that the state had", said_by.repeated),
        ("taken_rejected", "Rows that the reader rejected", said_by.rejected),
        ("batches", "Batches that the worker took", said_by.batches),
        ("segments_set_aside", "Segments that no reader takes", said_by.set_aside),
        ("worker_failures", "Tries that ended in an error and are repeated", said_by.failures),
        ("looks", "Looks for groups", said_by.looks),
    ):
        yield CounterMetricFamily(f"clonewatch_{name}", said, value=value)
    for name, said, number in (
        ("accounts", "Accounts in the state", said_by.accounts),
        ("flagged_groups", "Flagged groups in the last look", said_by.flagged),
        ("look_seconds", "Seconds that the last look took", said_by.look_seconds),
        ("last_taken_timestamp_seconds", "When a batch came into the state", said_by.taken_at),
        ("last_look_timestamp_seconds", "When the last look ended", said_by.looked_at),
        ("watch_list_serial", "Serial number of the watch list", said_by.serial),
        ("grown_accounts", "Accounts that joined flagged groups since the last look", said_by.grown),
        ("watch_list_accounts", "Accounts on the watch list", said_by.listed),
        ("worker_problem", "1 while the worker waits for something to be repaired", int(bool(said_by.problem))),
    ):
        yield _gauge(name, said, number)
    yield _histogram("to_state_seconds", "Seconds from arrival until exchanges are in the state", said_by.to_state)
    yield _histogram(
        "to_effect_seconds", "Seconds from arrival until a look has seen exchanges and was published", said_by.to_effect
    )


def _gauge(name: str, said: str, value: float) -> Metric:
    return GaugeMetricFamily(f"clonewatch_{name}", said, value=value)


def _histogram(name: str, said: str, waits: status.Waits) -> Metric:
    total, buckets = 0, []
    for bound, count in zip(status.BUCKETS, waits.counts, strict=True):
        total += count
        buckets.append(("+Inf" if bound == float("inf") else str(bound), total))
    pairs: Any = buckets
    return HistogramMetricFamily(f"clonewatch_{name}", said, buckets=pairs, sum_value=waits.total)
