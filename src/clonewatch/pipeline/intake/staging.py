"""Turns fingerprinted exchanges, account facts and events into compact integer tables, which all later stages read.

Every identifier that could point to a person (address, session, key, device, payment...) becomes a keyed 64-bit hash
here. Only `exchange_id` and `account_id` stay readable, because the provider must be able to act on them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from clonewatch.fingerprints import embedding
from clonewatch.fingerprints.embedding import Examples
from clonewatch.fingerprints.families import merge
from clonewatch.fingerprints.keys import derive
from clonewatch.kernels.addresses import prefixes
from clonewatch.kernels.hashing import keyed_hash, mix
from clonewatch.kernels.sketching import sketch_matrix
from clonewatch.model.schema import SKETCH_SIZE, TASKS, TEXT_COLUMNS
from clonewatch.pipeline.intake.account_book import AccountBook
from clonewatch.ports.engine import Engine

_HASHED = {
    "org_id": "org",
    "api_key_id": "key",
    "end_user_id": "end_user",
    "session_id": "session",
    "model": "model",
    "signature_session_id": "signature_session",
}
_BITS = {
    "system_hash": "system",
    "tools_hash": "tools",
    "template_id": "template",
    "prompt_id": "prompt",
    "format_hash": "format",
}
_KEPT = {
    "turn": pa.int16(),
    "logprobs": pa.bool_(),
    "n": pa.int16(),
    "cell": pa.int32(),
    "elicitation": pa.float32(),
}

# Tokens in and out, in octaves: individuality compares how long the texts of an account usually are.
_OCTAVES = {"input_tokens": "input_octave", "output_tokens": "output_octave"}

EXCHANGE_SCHEMA = pa.schema(
    [
        ("row", pa.int64()),
        ("exchange_id", pa.string()),
        ("xid", pa.int64()),
        ("account", pa.int32()),
        ("ts", pa.int64()),
    ]
    + [(name, pa.int64()) for name in _HASHED.values()]
    + [("network", pa.int64()), ("client", pa.int64()), ("shape", pa.int64())]
    + [(name, pa.int64()) for name in _BITS.values()]
    + [("task", pa.int8())]
    + list(_KEPT.items())
    + [(name, pa.int8()) for name in _OCTAVES.values()]
)
# The columns of a log that a scan reads; columns that no signal uses are not decoded.
READ = frozenset(
    {
        "exchange_id",
        "ts",
        "account_id",
        "client_ip",
        "user_agent",
        "tls_fingerprint",
        "sdk",
        "max_tokens",
        "temperature",
        "top_p",
        "task",
        "sketch",
        *_HASHED,
        *_BITS,
        *_KEPT,
        *_OCTAVES,
        *TEXT_COLUMNS,
    }
)
_ACCOUNT_HASHED = {
    "org_id": "org",
    "payment_fingerprint": "payment",
    "device_fingerprint": "device",
    "phone_prefix": "phone",
    "referrer": "referrer",
    "declared_use": "declared_use",
}
# Which log column fills which staged one; with it `scan.json` states what a signal is missing.
STAGED_FROM = {
    **{f"exchanges.{k}": f"exchanges.{v}" for k, v in (_HASHED | _BITS | _OCTAVES).items()},
    **dict.fromkeys(("exchanges.user_agent", "exchanges.tls_fingerprint", "exchanges.sdk"), "exchanges.client"),
    "exchanges.client_ip": "exchanges.network",
    "exchanges.max_tokens": "exchanges.shape",
    **{f"accounts.{k}": f"accounts.{v}" for k, v in _ACCOUNT_HASHED.items()},
    **dict.fromkeys(("accounts.email_pattern", "accounts.email_domain"), "accounts.pattern"),
    "accounts.created_at": "accounts.created",
    "accounts.signup_ip": "accounts.signup_network",
    "events.account_id": "events.account",
}

ACCOUNT_SCHEMA = pa.schema(
    [("account", pa.int32()), ("created", pa.int64()), ("org_declared", pa.bool_()), ("anchor", pa.bool_())]
    + [("training_permitted", pa.bool_())]
    + [(name, pa.int64()) for name in _ACCOUNT_HASHED.values()]
    + [("pattern", pa.int64()), ("signup_network", pa.int64())]
)
EVENT_SCHEMA = pa.schema(
    [("ts", pa.int64()), ("kind", pa.string()), ("account", pa.int32()), ("model", pa.int64()), ("until", pa.int64())]
)
# The templates of table `sketched` in order of first appearance: the values of their hashes decide nothing.
FIRST_SEEN = (
    'SELECT template FROM (SELECT s.template, MIN(a.ts) AS first, MIN(a."row") AS place FROM arrivals a'
    " JOIN sketched s ON s.template = a.template GROUP BY s.template) t ORDER BY first, place"
)
# Sketches that are put together into one block: 64 MB, which goes back to the system as soon as it is given up.
_BLOCK = 1 << 18
SKETCHED_TEMPLATES = 2_000_000  # 256 B each: bounds sketches to 0.5 GB of memory; later templates are not merged


class Stager:
    """Turns batches of fingerprinted exchanges into rows of EXCHANGE_SCHEMA; keeps the book of accounts.

    key: the provider's fingerprint key. book: accounts already known. first: number of the first row. filled: staged
    column -> number of non-null values so far.
    """

    def __init__(self, key: bytes, book: AccountBook | None = None, first: int = 0) -> None:
        self.key = key
        self.book = book or AccountBook()
        self.first, self.rows = first, 0
        self.filled: dict[str, int] = dict.fromkeys(EXCHANGE_SCHEMA.names, 0)
        self.first_ts, self.last_ts = np.iinfo(np.int64).max, np.iinfo(np.int64).min
        self._sketched: set[int] = set()
        self._sketches: list[tuple[np.ndarray, np.ndarray]] = []
        self._loose = 0  # how many of these, at the end, are no blocks

    def hash(self, values: pa.Array, purpose: str) -> pa.Array:
        """Keyed 64-bit hashes as int64; null stays null."""
        return _as_ids(keyed_hash(values, derive(self.key, purpose)))

    def stage(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """One batch of exchanges as staged rows."""
        have = {name: batch.column(i) for i, name in enumerate(batch.schema.names)}
        count = batch.num_rows
        ts = pc.cast(have["ts"], pa.int64())
        self.first_ts = min(self.first_ts, pc.min(ts).as_py() if count else self.first_ts)
        self.last_ts = max(self.last_ts, pc.max(ts).as_py() if count else self.last_ts)
        out: dict[str, pa.Array | None] = {
            "row": pa.array(np.arange(self.first + self.rows, self.first + self.rows + count)),
            "exchange_id": have["exchange_id"],
            "xid": self.hash(have["exchange_id"], "exchange_id"),
            "account": pa.array(self.book.codes(have["account_id"])),
            "ts": ts,
        }
        for source, name in _HASHED.items():
            if source in have:
                # A session has the same hash in both columns.
                out[name] = self.hash(have[source], "session_id" if name == "signature_session" else source)
        for source, name in _BITS.items():
            if source in have:
                out[name] = pc.cast(have[source], pa.uint64()).view(pa.int64())
        for name, kind in _KEPT.items():
            if name in have:
                out[name] = pc.cast(have[name], kind)
        for source, name in _OCTAVES.items():
            if source in have:
                out[name] = octaves(have[source])
        if "client_ip" in have:
            out["network"] = self._network(have["client_ip"])
        out["client"] = self._combined(have, ("tls_fingerprint", "user_agent", "sdk"))
        out["shape"] = _shape(have, count)
        if "task" in have:
            out["task"] = pc.cast(pc.index_in(have["task"], pa.array(TASKS)), pa.int8())
        if "sketch" in have and "template" in out:
            self._keep_sketches(out["template"], have["sketch"])
        self.rows += count
        full = [_or_nulls(out.get(f.name), count, f.type) for f in EXCHANGE_SCHEMA]
        for name, column in zip(EXCHANGE_SCHEMA.names, full, strict=True):
            self.filled[name] += count - column.null_count
        return pa.RecordBatch.from_arrays(full, schema=EXCHANGE_SCHEMA)

    def stage_all(
        self, batches: Iterable[pa.RecordBatch], fingerprint: Callable[[pa.RecordBatch], pa.RecordBatch]
    ) -> Iterator[pa.RecordBatch]:
        """Fingerprint and stage a stream of batches."""
        for batch in batches:
            yield self.stage(fingerprint(batch))

    def _keep_sketches(self, templates: pa.Array, sketches: pa.Array) -> None:
        """Keep the first sketch of each template, up to the limit."""
        if len(self._sketched) < SKETCHED_TEMPLATES:
            rows = new_sketches(templates, sketches, self._sketched)
            self.keep_sketches(templates.take(rows).to_numpy(), sketch_matrix(sketches.take(rows)))

    def keep_sketches(self, templates: np.ndarray, sketches: np.ndarray) -> None:
        """Keep sketches, uint32[N, 64], of N new templates, int64[N], for `families`."""
        if not len(templates):
            return
        self._sketches.append((templates, sketches))
        self._loose += 1
        if sum(len(t) for t, _ in self._sketches[-self._loose :]) >= _BLOCK:
            parts = self._sketches[-self._loose :]
            whole = np.concatenate([t for t, _ in parts]), np.concatenate([m for _, m in parts])
            self._sketches[-self._loose :], self._loose = [whole], 0

    def sketches(self) -> tuple[np.ndarray, np.ndarray]:
        """Templates, int64[N], in order of first appearance, and their sketches, uint32[N, 64]."""
        if not self._sketches:
            return np.zeros(0, np.int64), np.zeros((0, SKETCH_SIZE), np.uint32)
        return np.concatenate([t for t, _ in self._sketches]), np.concatenate([m for _, m in self._sketches])

    def families(self, engine: Engine, examples: Examples | None = None) -> pa.Table:
        """Near-identical templates, and the template that each is merged into: (template, family).

        engine: holds table `arrivals`. examples: one text per template, where templates with the same meaning are to be
        merged as well.
        """
        templates = np.concatenate([np.zeros(0, np.int64), *(part for part, _ in self._sketches)])
        self._sketched.clear()  # nothing is read any more
        engine.put("sketched", pa.table({"template": pa.array(templates, pa.int64())}))
        known = engine.fetch(FIRST_SEEN)["template"].to_numpy()
        return families(known, self._in_order(templates, known), examples)

    def _in_order(self, templates: np.ndarray, known: np.ndarray) -> np.ndarray:
        """The sketches of `known`, uint32[N, 64], out of those kept of `templates`.

        What was kept is given up as it is copied: a million sketches have 256 MB, and are never held twice.
        """
        order = np.argsort(templates, kind="stable")
        place = np.full(len(templates), -1, np.int64)  # where in `known` each kept sketch belongs
        place[order[np.searchsorted(templates, known, sorter=order)]] = np.arange(len(known))
        out = np.zeros((len(known), SKETCH_SIZE), np.uint32)
        at, self._loose = len(templates), 0
        while self._sketches:
            _, part = self._sketches.pop()
            at -= len(part)
            for few in np.array_split(np.flatnonzero(place[at : at + len(part)] >= 0), 16):
                out[place[at + few]] = part[few]
        return out

    def accounts(self, table: pa.Table | None) -> pa.Table:
        """Account facts as rows of ACCOUNT_SCHEMA, one per account of the book; other accounts are skipped.

        table: one row per account, as `Log.accounts` returns it.
        """
        count = len(self.book.ids)
        if table is None:
            table = pa.table({"account_id": pa.array([], pa.string())})
        codes = self.book.find(table.column("account_id").combine_chunks())
        rows = np.flatnonzero(codes >= 0)
        place = np.full(count, -1, np.int64)
        place[codes[rows]] = rows
        take = pa.array(place, mask=place < 0)
        have = {n: table.column(n).combine_chunks().take(take) for n in table.column_names if n != "account_id"}
        out: dict[str, pa.Array | None] = {"account": pa.array(np.arange(count, dtype=np.int32))}
        if "created_at" in have:
            out["created"] = pc.cast(have["created_at"], pa.int64())
        for name in ("org_declared", "anchor", "training_permitted"):
            if name in have:
                out[name] = have[name]
        for source, name in _ACCOUNT_HASHED.items():
            if source in have:
                out[name] = self.hash(have[source], source)
        out["pattern"] = self._combined(have, ("email_pattern", "email_domain"))
        if "signup_ip" in have:
            out["signup_network"] = self._network(have["signup_ip"])
        return pa.table([_or_nulls(out.get(f.name), count, f.type) for f in ACCOUNT_SCHEMA], schema=ACCOUNT_SCHEMA)

    def events(self, table: pa.Table | None) -> pa.Table:
        """Events as rows of EVENT_SCHEMA."""
        if table is None or not table.num_rows:
            return EVENT_SCHEMA.empty_table()
        out: dict[str, pa.Array | None] = {"kind": table.column("kind").combine_chunks()}
        out["ts"] = pc.cast(table.column("ts").combine_chunks(), pa.int64())
        if "until" in table.column_names:
            out["until"] = pc.cast(table.column("until").combine_chunks(), pa.int64())
        if "account_id" in table.column_names:
            codes = self.book.find(table.column("account_id").combine_chunks())
            out["account"] = pa.array(codes, mask=codes < 0)
        if "model" in table.column_names:
            out["model"] = self.hash(table.column("model").combine_chunks(), "model")
        columns = [_or_nulls(out.get(f.name), table.num_rows, f.type) for f in EVENT_SCHEMA]
        return pa.table(columns, schema=EVENT_SCHEMA)

    def _network(self, addresses: pa.Array) -> pa.Array:
        """The network prefix of each address, or the address itself where it is an opaque hash."""
        address, prefix = prefixes(addresses, derive(self.key, "address"))
        return _as_ids(np.where(prefix != 0, prefix, address))

    def _combined(self, have: dict[str, pa.Array], names: tuple[str, ...]) -> pa.Array | None:
        """One hash over several columns; null where all of them are."""
        count = next((len(have[n]) for n in names if n in have), None)
        if count is None:
            return None
        # A batch lacks a column that none of its rows fills. It counts as empty: a hash must not depend on other rows.
        hashes = [keyed_hash(have[n], derive(self.key, n)) if n in have else np.zeros(count, np.uint64) for n in names]
        known = np.logical_or.reduce([h != 0 for h in hashes])
        return _as_ids(np.where(known, mix(*hashes), np.uint64(0)))


def octaves(tokens: pa.Array) -> pa.Array:
    """Number of tokens -> its octave as int8; null where there is none, or none was counted.

    >>> octaves(pa.array([0, 1, 7, 8, None])).to_pylist()
    [None, 0, 2, 3, None]
    """
    counted = pc.fill_null(tokens, 0).to_numpy(zero_copy_only=False).astype(np.float64)
    # The exponent of m * 2**e with 0.5 <= m < 1.
    return pa.array(np.frexp(counted)[1].astype(np.int8) - np.int8(1), mask=counted < 1)


def within(batch: pa.RecordBatch, since: datetime | None, until: datetime | None) -> pa.RecordBatch:
    """The exchanges from `since` on and before `until`; None for no bound."""
    if since:
        batch = batch.filter(pc.greater_equal(batch["ts"], pa.scalar(since, batch["ts"].type)))
    if until:
        batch = batch.filter(pc.less(batch["ts"], pa.scalar(until, batch["ts"].type)))
    return batch


def sorted_for_storage(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """The same rows, sorted by client, shape and template within each batch.

    Run-length encoding then needs a quarter less disk. Nothing relies on the order: rows are numbered.
    """
    for batch in batches:
        yield batch.take(pc.sort_indices(batch, [(name, "ascending") for name in ("client", "shape", "template")]))


def new_sketches(templates: pa.Array, sketches: pa.Array, seen: set[int]) -> pa.Array:
    """Rows with the first sketch of each template that is not in `seen`, one per template. Adds these templates."""
    usable = pc.and_(pc.is_valid(templates), pc.is_valid(sketches)).to_numpy(zero_copy_only=False)
    rows = np.flatnonzero(usable)
    ids, at = np.unique(templates.take(pa.array(rows)).to_numpy(), return_index=True)
    fresh = np.array([t not in seen for t in ids.tolist()], bool)
    seen.update(ids[fresh].tolist())
    return pa.array(rows[at[fresh]])


def families(templates: np.ndarray, sketches: np.ndarray, examples: Examples | None = None) -> pa.Table:
    """Near-identical templates, and the template that each is merged into: (template, family).

    templates: int64[N], distinct, in order of first appearance: the first one of a family names it, whatever its hash.
    sketches: uint32[N, 64].
    """
    schema = pa.schema([("template", pa.int64()), ("family", pa.int64())])
    if not len(templates):
        return schema.empty_table()
    number = np.arange(len(templates), dtype=np.int64)
    # 0 stands for no template in `merge`.
    family = merge(number.view(np.uint64) + np.uint64(1), sketches).view(np.int64) - 1
    if examples is not None:
        family = _by_meaning(templates, family, examples)
    moved = family != number
    return pa.table([templates[moved], templates[family[moved]]], schema=schema)


def _shape(have: dict[str, pa.Array], count: int) -> pa.Array | None:
    """The request parameters as one hash; null where no `max_tokens` was sent."""
    if "max_tokens" not in have:
        return None
    parts = []
    for name, scale in (("max_tokens", 1), ("temperature", 100), ("top_p", 100), ("n", 1)):
        column = have.get(name)
        values = (
            np.full(count, -1.0) if column is None else pc.fill_null(pc.cast(column, pa.float64()), -1.0).to_numpy()
        )
        parts.append(np.rint(values * scale).astype(np.int64).view(np.uint64))
    sent = pc.is_valid(have["max_tokens"]).to_numpy(zero_copy_only=False)
    return _as_ids(np.where(sent, mix(*parts), np.uint64(0)))


def _or_nulls(column: pa.Array | None, count: int, kind: pa.DataType) -> pa.Array:
    return pa.nulls(count, kind) if column is None else column


def _as_ids(hashes: np.ndarray) -> pa.Array:
    """Unsigned hashes as int64 ids (Spark has no unsigned type); 0 becomes null."""
    return pa.array(hashes.view(np.int64), mask=hashes == 0)


def _by_meaning(templates: np.ndarray, family: np.ndarray, examples: Examples) -> np.ndarray:
    """Families merged by the meaning of one text each. templates: int64[N], staged ids; family: int64[N], numbers."""
    family_of = dict(zip(templates.view(np.uint64).tolist(), family.tolist(), strict=True))
    one: dict[int, str] = {}
    for template, text in zip(examples.templates, examples.texts, strict=True):
        if template in family_of:
            one.setdefault(family_of[template], text)
    moved = embedding.merge(list(one.values()), list(one))
    return np.array([moved.get(h, h) for h in family.tolist()], np.int64)
