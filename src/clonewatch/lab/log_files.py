"""Writes rows of codes as the Parquet files of a log folder."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from clonewatch.kernels.arrow import arrow_schema
from clonewatch.lab.gaps import left_out
from clonewatch.lab.ids import mix, spelled
from clonewatch.lab.rows import Array, Rows, joined, taken
from clonewatch.lab.vocabulary import CHANNELS, MODELS, OPERATIONS, STOPS
from clonewatch.lab.world import START, World
from clonewatch.model.schema import (
    ACCOUNTS,
    EVENTS,
    EXCHANGES,
    FINGERPRINT_COLUMNS,
    LABEL_ACCOUNTS,
    LABEL_EXCHANGES,
    TASKS,
    TEXT_COLUMNS,
    Table,
)

if TYPE_CHECKING:
    from clonewatch.lab.text.author import Author

_SLICE = 131_072  # rows converted to Arrow at a time: bounds memory for any size of a day
_WORDS = (
    "channel",
    "operation",
    "model",
    "stop_reason",
    "country",
    "egress",
    "user_agent",
    "tls_fingerprint",
    "sdk",
    "task",
    "org_id",
)
# Columns that are left to fingerprinting if text is written. Tool schemas are not text, so their hash stays.
_LEFT_OUT = tuple(c for c in FINGERPRINT_COLUMNS if c != "tools_hash")

# Columns of the schema that no simulated log has.
_UNSIMULATED = frozenset(("end_user_provenance", "verified_at", "verification_ip", "verification_device"))


class LogWriter:
    """Writes exchanges in order of time, and records which were harvested. Use as a context manager."""

    def __init__(self, world: World, out: Path, author: Author | None, gaps: Sequence[str] = ()) -> None:
        self.world, self.author = world, author
        absent = (*_LEFT_OUT, "response_text") if author else (*TEXT_COLUMNS, "sketch")
        absent = (*absent, *left_out(gaps), *_UNSIMULATED)
        kept = tuple(c for c in EXCHANGES.columns if c.name not in absent)
        self.schema = arrow_schema(Table("exchanges", kept))
        self.addresses = _arrays(world.network.table(), ("country", "egress"))
        self.clients = _arrays(world.builds.table(), ("user_agent", "tls_fingerprint", "sdk"))
        hashes = world.account_hashes()
        self.account_ids = spelled(hashes, "acct-")
        self.keys = spelled(mix(hashes, 51), "key-")
        facts = world.facts()
        self.orgs = pa.array(facts["org_id"].tolist(), pa.string()).dictionary_encode()
        self.rows = 0
        self.harvested: dict[str, int] = dict.fromkeys(world.campaigns, 0)
        self.per_account = np.zeros(world.accounts, dtype=np.int64)
        (out / "exchanges").mkdir(parents=True)
        (out / "labels").mkdir()
        self._file = _writer(out / "exchanges" / "part-0000.parquet", self._loose())
        self._labels = _writer(out / "labels" / "exchanges.parquet", arrow_schema(LABEL_EXCHANGES))

    def __enter__(self) -> LogWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self._labels.close()

    def write(self, day: Rows) -> None:
        """Write one period of time, unsorted, later than everything written before."""
        order = np.lexsort((day["session"], day["ts"]))
        for start in range(0, len(order), _SLICE):
            self._slice(taken(day, order[start : start + _SLICE]))

    def _slice(self, part: Rows) -> None:
        count = len(part["ts"])
        serial = np.arange(self.rows + 1, self.rows + count + 1)
        self.rows += count
        ids = spelled(mix(serial, self.world.salt + 61), "x-")
        self._file.write_table(
            pa.Table.from_arrays(self._columns(part, ids), schema=self._loose()), row_group_size=_SLICE
        )
        self.per_account += np.bincount(part["account"], minlength=len(self.per_account))
        found = np.flatnonzero(part["campaign"] >= 0)
        if len(found):
            numbers = part["campaign"][found].astype(np.int64)
            for number, size in enumerate(np.bincount(numbers, minlength=len(self.world.campaigns))):
                self.harvested[self.world.campaigns[number]] += int(size)
            names = pa.array(self.world.campaigns).take(pa.array(numbers))
            self._labels.write_table(
                pa.Table.from_arrays([ids.take(pa.array(found)), names], schema=arrow_schema(LABEL_EXCHANGES))
            )

    def _loose(self) -> pa.Schema:
        """The schema with words as dictionaries: faster to write, read back as plain strings."""
        kinds = [
            field.with_type(pa.dictionary(pa.int32(), pa.string())) if field.name in _WORDS else field
            for field in self.schema
        ]
        return pa.schema(kinds)

    def _columns(self, part: Rows, ids: pa.Array) -> list[pa.Array]:
        account = pa.array(part["account"])
        egress, client = pa.array(part["egress"]), pa.array(part["client"])
        made = {
            "exchange_id": ids,
            "ts": pa.array(part["ts"] + START, pa.int64()).cast(pa.timestamp("us", tz="UTC")),
            "account_id": self.account_ids.take(account),
            "org_id": self.orgs.take(account),
            "api_key_id": self.keys.take(account),
            "end_user_id": spelled(part["end_user"], "u-"),
            "session_id": spelled(part["session"], "s-"),
            "turn": pa.array(part["turn"]),
            "channel": _word(part["channel"], CHANNELS),
            "operation": _word(part["operation"], OPERATIONS),
            "model": _word(part["model"], tuple(m.name for m in MODELS)),
            "status": pa.array(part["status"]),
            "stop_reason": _word(part["stop"], STOPS),
            "input_tokens": pa.array(part["input"]),
            "output_tokens": pa.array(part["output"]),
            "reasoning_tokens": pa.array(part["reasoning"]),
            "cached_tokens": pa.array(part["cached"]),
            "latency_ms": pa.array(part["latency"]),
            "stream": pa.array(part["stream"]),
            "logprobs": pa.array(part["logprobs"]),
            "max_tokens": _present(part["max_tokens"], part["max_tokens"] >= 0),
            "temperature": _present(part["temperature"], ~np.isnan(part["temperature"])),
            "top_p": pa.nulls(len(account), pa.float32()),
            "n": pa.array(part["n"]),
            "tools_count": pa.array(part["tools"]),
            "client_ip": self.addresses["client_ip"].take(egress),
            "asn": self.addresses["asn"].take(egress),
            "country": self.addresses["country"].take(egress),
            "egress": self.addresses["egress"].take(egress),
            "user_agent": self.clients["user_agent"].take(client),
            "sdk": self.clients["sdk"].take(client),
            "tls_fingerprint": self.clients["tls_fingerprint"].take(client),
            "signature_id": spelled(part["signature"], "sig-"),
            "signature_session_id": spelled(part["signature_session"], "s-"),
            "tools_hash": _present(part["toolset"], part["toolset"] != 0),
        }
        if self.author:
            made |= self.author.columns(part)
        else:
            made |= {
                "system_hash": _present(part["system"], part["system"] != 0),
                "template_id": pa.array(part["template"]),
                "prompt_id": pa.array(part["prompt"]),
                "format_hash": _present(part["format"], part["format"] != 0),
                "cell": pa.array(part["cell"]),
                "task": _word(part["task"], TASKS),
                "elicitation": pa.array(part["elicitation"]),
            }
        return [made[name] for name in self.schema.names]


def write_books(world: World, out: Path, gaps: Sequence[str] = ()) -> None:
    """Write accounts, events and account labels, each in an order that reveals nothing, without what `gaps` names."""
    facts, hashes = world.facts(), world.account_hashes()
    ids = spelled(hashes, "acct-")
    columns: dict[str, pa.Array] = {"account_id": ids, "anchor": pa.array(world.trusted())}
    for column in ACCOUNTS.columns:
        if column.name == "created_at":
            stamps = facts["created_at"].astype(np.int64) // 1_000_000 * 1_000_000 + START
            columns["created_at"] = pa.array(stamps).cast(pa.timestamp("us", tz="UTC"))
        elif column.name in facts:
            columns[column.name] = _objects(facts[column.name], column.type)
    _signup_addresses(world, columns)
    order = pa.array(np.argsort(hashes, kind="stable"))
    kept = Table("accounts", tuple(c for c in ACCOUNTS.columns if c.name not in left_out(gaps) | _UNSIMULATED))
    table = pa.Table.from_arrays([columns[n] for n in kept.names], schema=arrow_schema(kept)).take(order)
    _save(table, out / "accounts.parquet")
    roles, campaigns = world.roles()
    named = [world.campaigns[c] if c >= 0 else None for c in campaigns.tolist()]
    labels = pa.Table.from_arrays(
        [ids, pa.array(named, pa.string()), pa.array(roles.tolist(), pa.string())], schema=arrow_schema(LABEL_ACCOUNTS)
    )
    _save(labels.take(order), out / "labels" / "accounts.parquet")
    events = _events(world, ids)
    _save(events.slice(0, 0) if "events" in gaps else events, out / "events.parquet")


def write_knobs(out: Path, said: dict[str, object]) -> None:
    """Write `scenario.json`: what was drawn, and the result."""
    (out / "scenario.json").write_text(json.dumps(said, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def _events(world: World, ids: pa.StringArray) -> pa.Table:
    inside = sorted(
        (e for e in world.events if 0 <= e[0] < world.days * 86_400_000_000), key=lambda e: (e[0], e[1], e[2])
    )
    stamp = pa.timestamp("us", tz="UTC")
    return pa.Table.from_arrays(
        [
            pa.array([e[0] + START for e in inside], pa.int64()).cast(stamp),
            pa.array([e[1] for e in inside], pa.string()),
            ids.take(pa.array([e[2] if e[2] >= 0 else None for e in inside], pa.int64())),
            pa.array([e[3] for e in inside], pa.string()),
            pa.array([None if e[4] is None else e[4] + START for e in inside], pa.int64()).cast(stamp),
        ],
        schema=arrow_schema(EVENTS),
    )


def _signup_addresses(world: World, columns: dict[str, pa.Array]) -> None:
    """The address at sign-up: the first one that an account's traffic would use."""
    book = world.network.table().column("client_ip").combine_chunks()
    place = np.full(world.accounts, -1, dtype=np.int64)
    for traffic in reversed(world.traffic):
        size = np.maximum(traffic.routes.size[:, 0], 1)
        place[traffic.ids] = traffic.routes.start[:, 0] + mix(traffic.ids, 71).astype(np.int64) % size
    columns["signup_ip"] = book.take(pa.array(place, mask=place < 0))


def _writer(path: Path, schema: pa.Schema) -> pq.ParquetWriter:
    return pq.ParquetWriter(
        path,
        schema,
        compression="zstd",
        compression_level=1,
        store_schema=False,
        use_dictionary=[
            *_WORDS,
            "account_id",
            "api_key_id",
            "client_ip",
            "turn",
            "status",
            "asn",
            "max_tokens",
            "temperature",
            "n",
            "tools_count",
            "system_hash",
            "format_hash",
            "tools_hash",
            "cell",
            "campaign_id",
        ],
    )


def _save(table: pa.Table, path: Path) -> None:
    pq.write_table(table, path, compression="zstd", store_schema=False)


def _arrays(table: pa.Table, words: tuple[str, ...]) -> dict[str, pa.Array]:
    """Columns of a table; those with few distinct words as dictionaries."""
    found = {name: table.column(name).combine_chunks() for name in table.column_names}
    return {name: a.dictionary_encode() if name in words else a for name, a in found.items()}


def _word(codes: Array, words: tuple[str, ...]) -> pa.Array:
    return pa.DictionaryArray.from_arrays(pa.array(codes.astype(np.int32)), pa.array(words))


def _present(values: Array, present: Array) -> pa.Array:
    return pa.array(values, mask=~present)


def _objects(values: Array, kind: str) -> pa.Array:
    if kind == "bool":
        return pa.array([None if v is None else bool(v) for v in values.tolist()], pa.bool_())
    return pa.array([None if v is None else str(v) for v in values.tolist()], pa.string())


def pieces(parts: list[Rows], until: int) -> tuple[Rows, Rows]:
    """Split rows into those before a time and those that are not yet due."""
    whole = joined(parts)
    due = whole["ts"] < until
    return taken(whole, due), taken(whole, ~due)
