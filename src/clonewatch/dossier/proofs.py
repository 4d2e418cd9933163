"""The entries of the log about one case, each with a proof that it is in the log, and the head that proves it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any, NamedTuple

from msgspec import UNSET

from clonewatch.cases.heads import public_key
from clonewatch.cases.merkle import includes, inclusion_proof, leaf_hash
from clonewatch.cases.records import Case, Entry, accounts_digest, entry, note_digest
from clonewatch.cases.store import Note, Reading
from clonewatch.dossier.envelope import strict
from clonewatch.model.errors import LogError

NAME = "log.json"
SCHEMA = "clonewatch.proofs.v1"
_EXPORT = "dossier"


class Proved(NamedTuple):
    """Entries of a log with what proves them. notes: text by the entry that it was written with."""

    entries: dict[int, Entry]
    notes: dict[int, str]
    head_at: str
    size: int


def notes_of(store: Reading, case: str) -> dict[int, Note]:
    """The notes about a case by their entries, without what account holders wrote and what they were answered."""
    numbers = [number for number, entry in store.history(case) if entry.appeal is UNSET]
    return {number: note for number in numbers if (note := store.note(number))}


def proofs(store: Reading, case: str) -> dict[str, Any]:
    """What `log.json` holds: the entries about a case and those it came from, with proofs and the newest head."""
    log = store.log()
    head = log.key.check(log.heads[-1])
    leaves = [leaf_hash(body.encode()) for body in log.entries[: head.size]]
    numbers = [number for number, _ in store.history(case)]
    notes = notes_of(store, case)
    return {
        "schema": SCHEMA,
        "key": log.key.text,
        "head": log.heads[-1],
        "entries": [
            {"number": n, "body": log.entries[n], "proof": [step.hex() for step in inclusion_proof(leaves, n)]}
            for n in numbers
        ],
        "notes": [{"entry": n, "salt": note.salt, "text": note.text} for n, note in notes.items()],
    }


def proved(data: bytes) -> Proved:
    """Check what `proofs` wrote: the signature of the head, every proof, every note. Raises LogError."""
    held = strict(data, NAME)
    try:
        head = public_key(held["key"]).check(held["head"])
        entries: dict[int, Entry] = {}
        for one in held["entries"]:
            number, body = int(one["number"]), str(one["body"])
            steps = [bytes.fromhex(step) for step in one["proof"]]
            if not includes(leaf_hash(body.encode()), number, head.size, steps, head.root):
                raise LogError(f"entry {number} is not proved to be in the log")
            entries[number] = entry(body, number)
        notes = {int(one["entry"]): str(one["text"]) for one in held["notes"]}
        for one in held["notes"]:
            if note_digest(one["salt"], one["text"]) != entries[int(one["entry"])].note:
                raise LogError(f"the note of entry {one['entry']} is not the one in the log")
    except (ValueError, KeyError, TypeError) as error:
        raise LogError(f"{NAME} cannot be read: {error}") from error
    return Proved(entries, notes, head.at, head.size)


def newest(entries: Mapping[int, Entry], name: str) -> Case:
    """The case as the newest of these entries has it. Raises LogError."""
    states = [case for _, one in sorted(entries.items()) for case in one.cases if case.case == name]
    if not states:
        raise LogError(f"no entry holds {name}")
    return states[-1]


def contents_digest(files: Mapping[str, bytes]) -> str:
    """SHA-256 in hex over the sorted lines `SHA-256  path`, as `sha256sum` writes them, without the log."""
    lines = sorted(f"{sha256(data).hexdigest()}  {name}\n" for name, data in files.items() if name != NAME)
    return sha256("".join(lines).encode()).hexdigest()


def export_note(digest: str) -> str:
    """The note with which an export is logged."""
    return f"{_EXPORT} {digest}"


def faults(held: Proved, name: str, accounts: Sequence[str], digest: str) -> list[str]:
    """What the log says otherwise than the bundle. accounts: of the case. digest: of its other files."""
    found = []
    if strange := [n for n, one in held.entries.items() if name not in one.of]:
        found.append(f"entry {strange[0]} is not about {name}")
    if newest(held.entries, name).accounts != accounts_digest(accounts):
        found.append(f"the accounts are not those that {name} has in the log")
    exports = [held.notes.get(n, "") for n, one in held.entries.items() if one.what == "export"]
    if export_note(digest) not in exports:
        found.append("the log has no entry about the export of these files")
    return found
