"""Makes a bundle: gathers a case and the rows of its group, logs the export, signs, and writes the folder."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from clonewatch.adapters.reading import Log
from clonewatch.cases.arrivals import groups, seen_as
from clonewatch.cases.changes import Who
from clonewatch.cases.heads import Signer
from clonewatch.cases.records import ALIVE, Case, Entry, note_digest
from clonewatch.cases.store import Reading, Store, new_note
from clonewatch.dossier import audits, documents, envelope, proofs, tables
from clonewatch.dossier.content import Sources, content
from clonewatch.dossier.prices import parsed, read
from clonewatch.model.errors import InputError, OutputError, SetupError, StaleError
from clonewatch.model.version import __version__
from clonewatch.model.whole_files import sync_folder
from clonewatch.pipeline.scan_result import read_summary, table_paths

DOSSIER, SCAN, PRICES, LETTER = "dossier.json", "scan.json", "prices.toml", "letter.txt"


class Order(NamedTuple):
    """What is asked for. log: the log that was scanned, for its tokens. audits: folders of audits.

    release: says, in the transaction of the export, why it may leave the house, which is logged; raises if it may not.
    """

    case: str
    result: Path
    log: Log | None
    prices: Path | None
    release: Callable[[Reading, str], tuple[str, ...]] | None = None
    audits: tuple[Path, ...] = ()


class Made(NamedTuple):
    """A bundle that was written. status: see `wording.status`. key: the public key that checks it."""

    files: dict[str, bytes]
    status: dict[str, str]
    key: str


def export(store: Store, order: Order, who: Who, out: Path, signer: Signer | None) -> Made:
    """Write the bundle of a case to a new folder, and log that it was exported. signer: None for the key of the log.

    The PDF files are among it only if the extra `dossier` is installed.

    Raises InputError where the result is not one that the case was seen in or an audit does not hold, StaleError where
    the case was changed meanwhile, OutputError where nothing can be written; then nothing is logged.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise OutputError("there is something at this place", where=str(out), fix="Name a new folder with --out")
    if order.prices and order.log is None:
        raise SetupError("prices need the log: the tables of a scan hold no tokens", fix="Pass --log PATH as well")
    with store.reading() as reading:
        held = _held(reading, order)
    files = _contents(held, order, who.at, audits.gathered(order.audits))
    note = new_note(proofs.export_note(proofs.contents_digest(files)))
    name = held.case.case
    with store.writing() as writing:
        if _held(writing, order) != held:
            fix = "Look at it, and export it again"
            raise StaleError(f"{name} was changed while its dossier was made; nothing was exported", fix=fix)
        because = order.release(writing, name) if order.release else ()
        said = note_digest(note.salt, note.text)
        writing.add(Entry("export", who.at, who.by, (name,), (), because, note=said, via=who.via), note)
    with store.reading() as reading:
        files[proofs.NAME] = envelope.spelled(proofs.proofs(reading, name))
    told = envelope.strict(files[DOSSIER], DOSSIER)
    key = signer or store.signer()
    predicate = {
        "case": name,
        "made_at": who.at,
        "schema": told["schema"],
        "typst": documents.typesetter(),
        "version": __version__,
    }
    files[envelope.NAME] = envelope.sealed(files, predicate, key)
    _put(out, files)
    return Made(files, told["status"], key.public.text)


class _Held(NamedTuple):
    """What a store holds about a case."""

    case: Case
    entries: dict[int, Entry]
    notes: dict[int, str]
    accounts: frozenset[str]


def _held(store: Reading, order: Order) -> _Held:
    """What a store holds about the case of an order, if it may leave: it is read in a moment, and nobody waits."""
    case = store.case(order.case)
    if order.release:
        order.release(store, case.case)
    if case.status not in ALIVE:
        raise InputError(f"{case.case} is {case.status}", fix=f"Look at it: clonewatch cases show {case.case}")
    notes = {n: note.text for n, note in proofs.notes_of(store, case.case).items()}
    return _Held(case, dict(store.history(case.case)), notes, frozenset(store.accounts(case.accounts)))


def _contents(held: _Held, order: Order, at: str, audited: Mapping[str, bytes]) -> dict[str, bytes]:
    """Every file but the log and the envelope. It may read a long log, so no transaction is open."""
    found = groups(table_paths(order.result), read_summary(order.result))
    group = seen_as(found, held.case, held.entries, order.result)
    rows = tables.of_group(order.result, group.sighting.group, held.accounts)
    if order.log is not None:
        rows["usage"] = tables.usage(rows["attribution"], order.log)
    scan = read_summary(order.result)
    prices = read(order.prices) if order.prices else None
    sources = Sources(held.case, held.entries, held.notes, rows, scan, prices, audited)
    told = content(sources, at)
    files = tables.written(rows) | {DOSSIER: envelope.spelled(told), SCAN: (order.result / "scan.json").read_bytes()}
    if order.prices:
        files[PRICES] = order.prices.read_bytes()
        parsed(files[PRICES])
    letter = documents.letter(told, files[DOSSIER])
    files[LETTER] = documents.letter_text(letter)
    return files | dict(audited) | documents.pdfs(told, letter)


def _put(out: Path, files: Mapping[str, bytes]) -> None:
    """Write a folder whole or not at all. Raises OutputError."""
    aside = out.with_name(f".{out.name}.{secrets.token_hex(4)}.new")
    try:
        for name, data in files.items():
            place = aside / name
            place.parent.mkdir(parents=True, exist_ok=True)
            with place.open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
        for folder in (aside, *(place for place in aside.rglob("*") if place.is_dir())):
            sync_folder(folder)
        if out.exists():
            out.rmdir()
        aside.rename(out)
        sync_folder(out.parent)
    except OSError as error:
        shutil.rmtree(aside, ignore_errors=True)
        raise OutputError(
            f"the bundle could not be written: {error.strerror or error}",
            where=str(out),
            fix="Free some space or name another folder, and export again; the log says that this one was begun",
        ) from error
