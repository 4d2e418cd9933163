"""Maintenance of a state: verifying it, compacting it, and forgetting accounts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from clonewatch.fingerprints.keys import load_key
from clonewatch.model.defaults import MEMORY
from clonewatch.model.errors import SetupError, StateError
from clonewatch.pipeline.daily.state_tables import EXCHANGES, LAYOUTS, NAMES, SKETCHES, Tally, account_hashes
from clonewatch.pipeline.engine import EngineSettings, opened_for_state
from clonewatch.pipeline.intake.staging import STAGED_FROM
from clonewatch.ports.engine import FileEngine
from clonewatch.ports.progress import Progress, Silent
from clonewatch.state import store
from clonewatch.state.columns import schema_of, together
from clonewatch.state.files import difference
from clonewatch.state.manifest import File, Manifest, Part, day_name, day_of
from clonewatch.state.store import State

_RESTORED = "the manifest was damaged; the one before it has been restored"
_UNKNOWN_LOGS = (
    "; which logs the lost change had read is not known, so ingest the newest logs again: what is there already is"
    " skipped"
)


class Verified(NamedTuple):
    """Whether a state is intact. problems: one sentence each. ingest_again: logs whose exchanges are now missing.

    restored: whether the state went back by one change. dropped: number of damaged files that were removed.
    """

    files: int
    exchanges: int
    days: int
    accounts: int
    problems: list[str]
    fixed: bool
    ingest_again: list[str]
    restored: bool = False
    dropped: int = 0


class Compacted(NamedTuple):
    """The size of a state after compaction, and before. emptied: days whose values were removed, by column."""

    days: int
    files_before: int
    files: int
    bytes_before: int
    bytes: int
    exchanges_before: int
    exchanges: int
    dropped_days: list[str]
    emptied: dict[str, int]


class Forgotten(NamedTuple):
    """What was forgotten. accounts: how many were known. exchanges: rows removed. unknown: ids not in the state."""

    accounts: int
    exchanges: int
    unknown: list[str]


def look(place: Path, key_file: Path | None = None) -> dict[str, Any]:
    """Describe what a state holds, per day."""
    with store.opened(place, load_key(key_file)) as state:
        manifest = state.manifest
    days = [
        {
            "day": day_name(day),
            "exchanges": rows,
            "parts": sum(part.day == day for part in manifest.parts),
            "lacking": sorted({name for part in manifest.parts if part.day == day for name in part.lacking}),
        }
        for day, rows in manifest.days().items()
    ]
    return {
        "days": days,
        "exchanges": sum(manifest.days().values()),
        "accounts": manifest.accounts,
        "bytes": _bytes(manifest),
        "generation": manifest.generation,
        "forgotten": len(manifest.forgotten),
        "sources": len(manifest.sources),
    }


def verify(
    place: Path, key_file: Path | None = None, *, fix: bool = False, progress: Progress | None = None
) -> Verified:
    """Read every byte of a state and compare it with what was written.

    fix: drop damaged files and report which logs to ingest again; the other files are unchanged. Columns that another
    version wrote, or did not write, are no damage. Raises StateError where there is no state, where this version cannot
    read what another one wrote, or where repair is impossible: without account ids no exchange can be reported.
    """
    key, watcher = load_key(key_file), progress or Silent()
    restored = store.restore(place) if fix else None
    with store.opened(place, key) as state:
        manifest = state.manifest
        problems = [_RESTORED if restored.logs is not None else _RESTORED + _UNKNOWN_LOGS] if restored else []
        watcher.start("verify", sum(file.size for file in manifest.files()), "bytes")
        bad = {file.name: what for file in manifest.files() if (what := _damage(state, file, watcher))}
        for kind, files in manifest.kinds().items():
            whole = [state.path(file) for file in files if file.name not in bad]
            together(LAYOUTS[kind], [(path, schema_of(path)) for path in whole])
        for part in manifest.parts:
            if part.exchanges.name not in bad and (what := _inconsistency(state, part)):
                bad[part.exchanges.name] = what
        if not bad and sum(file.rows for file in manifest.names) != manifest.accounts:
            problems.append("the number of account ids differs from the manifest")
        watcher.end(f"{len(bad)} damaged files")
        problems += [f"{name}: {what}" for name, what in bad.items()]
        problems += filter(None, [state.lost_logs(remove=fix)])
        again = set(restored.logs or () if restored else ())
        if bad and fix:
            again.update(_drop(state, set(bad)))
        return Verified(
            len(manifest.files()),
            sum(manifest.days().values()),
            len(manifest.days()),
            manifest.accounts,
            problems,
            bool(fix and problems),
            sorted(again),
            restored is not None,
            len(bad) if fix else 0,
        )


def _damage(state: State, file: File, progress: Progress) -> str:
    return difference(state.path(file), file, watch=progress.advance)


def _inconsistency(state: State, part: Part) -> str:
    """What contradicts the manifest in a part, although its bytes are as they were written; empty if nothing does."""
    file = pq.ParquetFile(state.path(part.exchanges))
    if file.metadata.num_rows != part.exchanges.rows:
        return "its number of rows differs from the manifest"
    for batch in file.iter_batches(columns=["account", "ts"]):
        account, ts = batch["account"].to_numpy(), batch["ts"].to_numpy()
        if len(ts) and (day_of(int(ts.min())), day_of(int(ts.max()))) != (part.day, part.day):
            return f"it holds exchanges of other days than {day_name(part.day)}"
        if len(account) and not 0 <= account.min() <= account.max() < state.manifest.accounts:
            return "it holds an account that the state does not know"
    return ""


def _drop(state: State, bad: set[str]) -> list[str]:
    """Remove damaged files from the state; returns the logs to ingest again."""
    held = state.manifest
    if any(file.name in bad for file in held.names):
        raise StateError(
            "the account ids are damaged, and without them nothing can be reported",
            where=str(state.place),
            fix="Restore the file from a backup, or ingest the logs into a new folder",
        )
    lost = {source for part in held.parts if part.exchanges.name in bad for source in part.sources}
    beside = {file.name for file in (held.facts, held.events, *held.sketches) if file and file.name in bad}
    if beside:
        lost |= held.sources.keys()
    state.commit(
        msgspec.structs.replace(
            held,
            parts=tuple(part for part in held.parts if part.exchanges.name not in bad),
            sketches=tuple(file for file in held.sketches if file.name not in bad),
            facts=None if held.facts and held.facts.name in bad else held.facts,
            events=None if held.events and held.events.name in bad else held.events,
            sources={name: source for name, source in held.sources.items() if name not in lost},
        )
    )
    return sorted({held.sources[name].path for name in lost if name in held.sources})


def compact(
    place: Path,
    key_file: Path | None = None,
    *,
    keep: int | None = None,
    fields: Mapping[str, int] | None = None,
    memory: str = MEMORY,
    progress: Progress | None = None,
) -> Compacted:
    """Rewrite a state to one part per day, and delete what is past its retention time.

    keep: days of exchanges to keep, counted from the newest. fields: log column, such as client_ip, to the days after
    which its hashes are deleted. Raises SetupError for a column that is not stored or that every result needs.
    """
    limits = {_staged(name): days for name, days in (fields or {}).items()}
    if (keep is not None and keep < 1) or any(days < 0 for days in limits.values()):
        raise SetupError(
            "a number of days to keep must be positive", fix="Pass --keep 60 --field client_ip=14, for example"
        )
    watcher = progress or Silent()
    with store.opened(place, load_key(key_file)) as state:
        state.check(LAYOUTS)
        before = state.manifest
        newest = max((part.day for part in before.parts), default=0)
        days = [day for day in before.days() if keep is None or day > newest - keep]
        watcher.start("compact", len(days), "days")
        parts, emptied = [], dict.fromkeys(fields or {}, 0)
        with opened_for_state(EngineSettings(memory=memory), place) as engine:
            for day in days:
                held = [part for part in before.parts if part.day == day]
                over = {column for column, most in limits.items() if day <= newest - most}
                over = {column for column in over if any(column not in part.lacking for part in held)}
                for name in fields or {}:
                    emptied[name] += _staged(name) in over
                parts += held if len(held) == 1 and not over else [_rewritten(state, engine, held, over)]
                watcher.advance(1, sum(part.exchanges.rows for part in held))
            after = _pruned(state, engine, msgspec.structs.replace(before, parts=tuple(parts)))
        if after != before:
            state.commit(after, last=True)
        watcher.end()
        kept = state.manifest
        return Compacted(
            len(days),
            len(before.files()),
            len(kept.files()),
            _bytes(before),
            _bytes(kept),
            sum(before.days().values()),
            sum(kept.days().values()),
            [day_name(day) for day in before.days() if day not in days],
            emptied,
        )


def forget(
    place: Path,
    accounts: Sequence[str],
    key_file: Path | None = None,
    *,
    memory: str = "700MB",
    progress: Progress | None = None,
) -> Forgotten:
    """Remove accounts and everything the state holds of them, and ignore them from then on.

    A keyed hash of each id stays, without which a late file would add the account again. Results that were written
    before are not changed.
    """
    key, watcher = load_key(key_file), progress or Silent()
    with store.opened(place, key) as state:
        state.check(LAYOUTS)
        before = state.manifest
        book = state.table(before.names, NAMES)
        names = book["account_id"].to_pylist()
        wanted = set(accounts)
        codes = [code for code, name in enumerate(names) if name in wanted]
        known = {names[code] for code in codes}
        watcher.start("forget", len(before.parts), "parts")
        parts, removed = [], 0
        with opened_for_state(EngineSettings(memory=memory), place) as engine:
            for part in before.parts:
                rows = _rows_of(state, part.exchanges, codes)
                removed += rows
                if rows == part.exchanges.rows:
                    continue
                parts.append(_rewritten(state, engine, [part], set(part.lacking), codes) if rows else part)
                watcher.advance(1, rows)
            hashes = {f"{h:016x}" for h in account_hashes(pa.array(sorted(wanted)), key).tolist()}
            after = msgspec.structs.replace(
                before,
                parts=tuple(parts),
                forgotten=tuple(sorted({*before.forgotten, *hashes})),
                names=(state.write("accounts", book.schema, [_nameless(book, codes)]),) if codes else before.names,
                facts=_without(state, before.facts, "facts", codes),
                events=_without(state, before.events, "events", codes),
            )
            after = _pruned(state, engine, after) if removed else after
        state.commit(after, last=True)
        watcher.end(f"{removed:,} exchanges of {len(known):,} accounts")
        return Forgotten(len(known), removed, sorted(wanted - known))


def _staged(name: str) -> str:
    """The staged column that a column of the log fills."""
    column = STAGED_FROM.get(f"exchanges.{name}", f"exchanges.{name}").removeprefix("exchanges.")
    if column not in EXCHANGES.schema.names or column in EXCHANGES.needed:
        known = sorted(k.removeprefix("exchanges.") for k in STAGED_FROM if k.startswith("exchanges."))
        raise SetupError(f"{name!r} is not a column that can be deleted", fix=f"Use one of: {', '.join(known)}")
    return column


def _rewritten(
    state: State, engine: FileEngine, parts: list[Part], empty: set[str], without: Sequence[int] = ()
) -> Part:
    """Merge parts of one day into one, without some columns and some accounts."""
    lacking = sorted(empty.union(*(part.lacking for part in parts)))
    files = [part.exchanges for part in parts]
    schema = state.schema(files, EXCHANGES)
    table = f"rewritten_{files[0].name}"
    engine.attach(table, state.intact(files), schema)
    engine.put(f"{table}_without", pa.table({"account": pa.array(without, pa.int32())}))
    columns = ", ".join(f'NULL AS "{n}"' if n in lacking else f'"{n}"' for n in schema.names)
    rows = engine.stream(
        f'SELECT {columns} FROM "{table}" WHERE account NOT IN (SELECT account FROM "{table}_without")'
        ' ORDER BY account, ts, "row"'
    )
    tally, day = Tally(schema), parts[0].day
    file = state.write(f"exchanges-{day_name(day)}", schema, tally.watch(rows))
    sources = tuple(sorted({source for part in parts for source in part.sources}))
    return tally.part(day, file, sources, tuple(lacking))


def _pruned(state: State, engine: FileEngine, manifest: Manifest) -> Manifest:
    """The manifest with one file of account ids, and only the sketches of templates that exchanges still have."""
    kept: tuple[File, ...] = ()
    if manifest.sketches and manifest.parts:
        schema = state.schema(manifest.sketches, SKETCHES)
        engine.attach("every_part", state.intact([part.exchanges for part in manifest.parts]), EXCHANGES.schema)
        engine.attach("every_sketch", state.intact(manifest.sketches), schema)
        columns = ", ".join(f's."{name}"' for name in schema.names)
        found = engine.stream(
            f"SELECT {columns} FROM every_sketch s"
            " WHERE s.template IN (SELECT template FROM every_part WHERE template IS NOT NULL)"
        )
        file = state.write("sketches", schema, (batch.cast(schema) for batch in found))
        same = len(manifest.sketches) == 1 and file.rows == manifest.sketches[0].rows
        kept = manifest.sketches if same else (file,) if file.rows else ()
    names = manifest.names
    if len(names) > 1:
        book = state.table(names, NAMES)
        names = (state.write("accounts", book.schema, [book]),)
    return msgspec.structs.replace(manifest, sketches=kept, names=names)


def _nameless(book: pa.Table, codes: Sequence[int]) -> pa.Table:
    """The account ids with some of them set to null, so that all others keep their codes. codes: those to remove."""
    place = np.arange(book.num_rows)
    return book.take(pa.array(place, mask=np.isin(place, codes)))


def _rows_of(state: State, file: File, codes: list[int]) -> int:
    """How many rows of a part belong to these accounts. Parts are sorted by account, so little is read."""
    if not codes:
        return 0
    [path] = state.intact([file])
    rows: int = pq.read_table(path, columns=["account"], filters=pc.field("account").isin(codes)).num_rows
    return rows


def _without(state: State, file: File | None, kind: str, codes: list[int]) -> File | None:
    """A small table without the rows of these accounts."""
    if file is None:
        return None
    table = state.read(file)
    kept = table.filter(pa.array(~np.isin(table["account"].fill_null(-1).to_numpy(), codes)))
    return file if kept.num_rows == table.num_rows else state.write(kind, kept.schema, [kept])


def _bytes(manifest: Manifest) -> int:
    return sum(file.size for file in manifest.files())
