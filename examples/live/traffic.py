"""The clients of `make demo-live`: they send the requests of a simulated log to a gateway, in the order of the log.

Honest clients and those of the harvest are told apart by the labels of the log, which nothing else in the demo reads.
"""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow.parquet as pq

HARVEST, INSIDE, BESIDE, HONEST = "harvest", "served", "beside", "honest"
# What is counted, in the words of the summary.
KINDS = {
    HARVEST: "harvest",
    INSIDE: "other requests of the harvesters",
    BESIDE: "honest customers of the same proxy",
    HONEST: "other honest customers",
}
_EDGE = (
    "ts",
    "exchange_id",
    "client_ip",
    "asn",
    "country",
    "egress",
    "user_agent",
    "tls_fingerprint",
    "sdk",
    "channel",
)
_METADATA = ("session_id", "turn", "end_user_id", "operation", "stream", "tools_count")
_BODY = ("max_tokens", "temperature", "n", "logprobs")
_THREADS = 8


class Seen(NamedTuple):
    """A request that was answered. at: seconds since 1970. noticed: whether the client was told of a measure."""

    at: float
    kind: str
    row: dict[str, Any]
    status: int
    noticed: bool


class Log:
    """A simulated log: rows in order, and of which kind each is."""

    def __init__(self, folder: Path, days: float) -> None:
        rows = [row for path in sorted((folder / "exchanges").iterdir()) for row in _rows(path)]
        rows.sort(key=lambda row: row["ts"])
        end = rows[0]["ts"].timestamp() + days * 86_400
        self.rows = [row for row in rows if row["ts"].timestamp() < end]
        roles = {row["account_id"]: row["role"] for row in _rows(folder / "labels" / "accounts.parquet")}
        self._roles = roles
        self._harvest = {row["exchange_id"] for row in _rows(folder / "labels" / "exchanges.parquet")}
        self.facts = sorted(_rows(folder / "accounts.parquet"), key=lambda row: row["created_at"])
        self.events = sorted(_rows(folder / "events.parquet"), key=lambda row: row["ts"])

    def kind(self, row: dict[str, Any]) -> str:
        """What a request is, by the labels."""
        if row["exchange_id"] in self._harvest:
            return HARVEST
        return self.kind_of(row["account_id"])

    def kind_of(self, account: str) -> str:
        """What an account's requests are that are no harvest."""
        return {"member": INSIDE, "proxy_customer": BESIDE}.get(self._roles[account], HONEST)

    def keys(self) -> dict[str, dict[str, str]]:
        """Each API key, and whose it is, as the gateway knows it."""
        names = ("account_id", "org_id", "api_key_id")
        return {key_of(row): {name: row[name] for name in names if row.get(name)} for row in self.rows}


def key_of(row: dict[str, Any]) -> str:
    """The API key that a client sends."""
    return f"sk-{row['account_id']}-{row.get('api_key_id') or ''}"


class Clients:
    """Threads that send the rows of a log through a gateway, so many a second."""

    def __init__(self, log: Log, port: int, rate: float) -> None:
        self._log, self._port, self._rate = log, port, rate
        self._rows: Iterator[dict[str, Any]] = iter(log.rows)
        self._lock, self._stop = threading.Lock(), threading.Event()
        self._next = time.monotonic()
        self.seen: list[Seen] = []
        self.now: datetime | None = None
        self.ended = False
        self.problem = ""
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(_THREADS)]

    def start(self) -> None:
        """Begin to send."""
        for one in self._threads:
            one.start()

    def stop(self) -> None:
        """Send nothing more, and wait for what is on its way."""
        self._stop.set()
        for one in self._threads:
            if one.is_alive():
                one.join()

    def again(self, seen: Seen) -> Seen:
        """Send a request once more, as its client would."""
        gateway = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
        try:
            row = {**seen.row, "exchange_id": f"{seen.row['exchange_id']}-{time.monotonic_ns()}", "ts": self.now}
            answered = self._sent(gateway, row)._replace(kind=seen.kind)
        finally:
            gateway.close()
        self.seen.append(answered)
        return answered

    def _run(self) -> None:
        gateway = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
        try:
            while (row := self._due()) is not None:
                self.seen.append(self._sent(gateway, row))
        except (OSError, http.client.HTTPException) as error:
            self.problem = f"the gateway does not answer: {error or type(error).__name__}"
        finally:
            gateway.close()

    def _due(self) -> dict[str, Any] | None:
        """The next row, when it is its turn; None when there is none, or the clients are to stop."""
        with self._lock:
            row = next(self._rows, None)
            if row is None:
                self.ended = True
                return None
            self.now = row["ts"]
            # Who is late does not hurry afterwards: a gateway is no test of load here.
            self._next = max(self._next + 1 / self._rate, time.monotonic())
            wait = self._next - time.monotonic()
        return None if self._stop.wait(max(0.0, wait)) else row

    def _sent(self, gateway: http.client.HTTPConnection, row: dict[str, Any]) -> Seen:
        told = {name: row[name] for name in _METADATA if row.get(name) is not None}
        body = {name: row[name] for name in _BODY if row.get(name) is not None}
        body |= {"model": row["model"], "messages": json.loads(row["messages"])}
        body["metadata"] = told | {"answer_tokens": row.get("output_tokens") or 0}
        edge = {name: row[name] for name in _EDGE if row.get(name) is not None}
        headers = {
            "authorization": f"Bearer {key_of(row)}",
            "content-type": "application/json",
            "x-edge": json.dumps(edge | {"ts": row["ts"].isoformat()}),
        }
        gateway.request("POST", "/v1/chat/completions", json.dumps(body).encode(), headers)
        answer = gateway.getresponse()
        answer.read()
        noticed = answer.headers.get("account-notice") is not None
        return Seen(time.time(), self._log.kind(row), row, answer.status, noticed)


class SignUps:
    """What a provider knows of accounts beside their requests, pushed as it happens: sign-ups, and events."""

    def __init__(self, log: Log, port: int, key: str) -> None:
        self._facts, self._events = list(log.facts), list(log.events)
        self._port, self._key = port, key

    def push(self, now: datetime) -> None:
        """Push what happened up to a time of the log."""
        for path, rows, column in (("/v1/accounts", self._facts, "created_at"), ("/v1/events", self._events, "ts")):
            due = [row for row in rows if row[column] <= now]
            if due:
                self._post(path, due)
                del rows[: len(due)]

    def _post(self, path: str, rows: list[dict[str, Any]]) -> None:
        service = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
        headers = {"authorization": f"Bearer {self._key}", "content-type": "application/json"}
        try:
            service.request("POST", path, json.dumps(rows, default=lambda at: at.isoformat()).encode(), headers)
            answer = service.getresponse()
            said = answer.read()
            if answer.status != http.client.OK:
                raise OSError(f"{path} was answered with {answer.status}: {said[:200]!r}")
        finally:
            service.close()


def _rows(path: Path) -> list[dict[str, Any]]:
    return [{k: v for k, v in row.items() if v is not None} for row in pq.read_table(path).to_pylist()]
