"""Two providers in one group: an epoch, values, and a holder that answers in this process."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from importlib.util import find_spec
from pathlib import Path
from time import time
from typing import Any

from starlette.testclient import TestClient
from tests.required import required

from clonewatch.live.api_keys import new
from clonewatch.service.matching.app import app
from clonewatch.sharing.matching import blinding, epoch, messages, values
from clonewatch.sharing.matching.answering import Holder
from clonewatch.sharing.matching.epoch import Epoch
from clonewatch.sharing.matching.peers import MODES, Peer
from clonewatch.sharing.matching.query_log import QueryLog
from clonewatch.sharing.matching.sightings import Group, Met, Seen

LIBRARY = required("blinded matching", [n for n in ("private_set_intersection",) if find_spec(n) is None])
KEY, HASH = new()


def agreed(**given: Any) -> Epoch:
    """An epoch that holds today."""
    return epoch.new("pact", "e1", epoch.today(), 30, **given)


def csv_of(path: Path, rows: Sequence[tuple[str, str, str]]) -> Path:
    """A file of values."""
    path.write_text("kind,value,account\n" + "".join(f"{k},{v},{a}\n" for k, v, a in rows), encoding="utf-8")
    return path


def cards(first: int, last: int, account: str = "a") -> list[tuple[str, str, str]]:
    """Rows of payment values, one account each."""
    return [("payment", f"PAR{n:06}", f"{account}{n}") for n in range(first, last)]


def group(name: str, accounts: Sequence[str], first: str, last: str, **given: Any) -> Group:
    """A group of a result."""
    told: dict[str, Any] = {"ended": False, "p": 0.04, "families": ("payment", "pacing")}
    days = (date.fromisoformat(first), date.fromisoformat(last))
    return Group(name, frozenset(accounts), *days, **(told | given))


class Stand:
    """A holder, and the means to ask it as its peer does."""

    def __init__(self, held_epoch: Epoch, holder: Holder, http: TestClient) -> None:
        self.epoch, self.holder, self.http = held_epoch, holder, http

    def ask(
        self, method: str, path: str, body: bytes = b"", *, by: Epoch | None = None, key: str = KEY, **changed: str
    ) -> Any:
        """A request with its proof. changed: headers in place of the right ones."""
        proof = messages.proven(by or self.epoch, method, path, body)
        headers = proof | {"authorization": f"Bearer {key}"} | {n.replace("_", "-"): v for n, v in changed.items()}
        return self.http.request(method, path, content=body, headers=headers)

    def query(self, elements: Sequence[str], mode: blinding.Mode = "count", kind: str = "payment", **given: Any) -> Any:
        """The answer to a query, as it comes over the wire."""
        body = blinding.Asker(elements, mode).request
        return self.ask("POST", f"{messages.QUERY}/{kind}/{mode}", body, **given)


@contextlib.contextmanager
def holding(
    folder: Path,
    rows: Sequence[tuple[str, str, str]],
    held_epoch: Epoch,
    *,
    groups: Sequence[Group] = (),
    met: list[Met] | None = None,
    clock: Any = time,
    **peer: Any,
) -> Iterator[Stand]:
    """A holder of these values with one peer, north."""
    held = values.read(csv_of(folder / "values.csv", rows), held_epoch)
    setups = {kind: blinding.prepared(held.elements(kind)) for kind in held.accounts}
    seen = Seen(held_epoch, held, groups, [].extend if met is None else met.extend) if groups else None
    peers: Mapping[str, Peer] = {"north": Peer(HASH, **({"modes": MODES} | peer))}
    log = QueryLog(folder / "queries.ndjson", clock)
    holder = Holder(held_epoch, setups, peers, log, seen=seen, clock=clock)
    try:
        with TestClient(app(holder)) as http:
            yield Stand(held_epoch, holder, http)
    finally:
        log.close()
