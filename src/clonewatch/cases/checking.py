"""Whether a log is what was signed: every entry, every head, and whatever a witness remembers of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from clonewatch.cases import records
from clonewatch.cases.heads import Head, PublicKey
from clonewatch.cases.log_file import LogCopy, Witness
from clonewatch.cases.merkle import Frontier, leaf_hash
from clonewatch.model.errors import LogError


class Checked(NamedTuple):
    """What a check found. head: the newest head that is signed; None for none. faults: one sentence each; none is well.

    entries: those that can be read, by number.
    """

    size: int
    head: Head | None
    faults: tuple[str, ...]
    entries: Mapping[int, records.Entry]


def check(log: LogCopy, witnesses: Sequence[Witness] = ()) -> Checked:
    """Check a log by itself, and against heads that were remembered elsewhere.

    By itself a log shows that no entry was changed, removed, added or moved since its heads were signed. That nobody
    who holds its key wrote another history, or put an older copy in its place, only a witness shows.
    """
    faults: list[str] = []
    entries: dict[int, records.Entry] = {}
    for number, body in enumerate(log.entries):
        try:
            entries[number] = records.entry(body, number)
        except LogError as error:
            faults.append(error.what)
    heads = _heads(log.key, log.heads, faults)
    roots = _roots(log.entries, {head.size for head in heads})
    faults += _against(heads, roots, len(log.entries))
    if heads and heads[-1].size < len(log.entries):
        faults.append(f"no head covers the last {len(log.entries) - heads[-1].size} of {len(log.entries)} entries")
    if log.entries and not log.heads:
        faults.append("the log has entries and no head")
    for witness in witnesses:
        faults += _witnessed(log, witness)
    return Checked(len(log.entries), heads[-1] if heads else None, tuple(faults), entries)


def _heads(key: PublicKey, notes: Sequence[str], faults: list[str]) -> list[Head]:
    """The heads whose signatures hold, in order; faults of the others are added."""
    found: list[Head] = []
    for note in notes:
        try:
            head = key.check(note)
        except LogError as error:
            faults.append(error.what)
            continue
        before = found[-1] if found else None
        if head.number != (before.number + 1 if before else 1):
            faults.append(f"head {head.number} follows {f'head {before.number}' if before else 'none'}")
        if before and head.size <= before.size:
            faults.append(f"a head of size {head.size} follows one of size {before.size}")
        found.append(head)
    return found


def _roots(bodies: Sequence[str], sizes: set[int]) -> dict[int, bytes]:
    """The root that the log had at each of these sizes, as its entries are now."""
    frontier, found = Frontier(), {}
    for size in sorted(s for s in sizes if s <= len(bodies)):
        frontier = frontier.grown(leaf_hash(body.encode()) for body in bodies[frontier.size : size])
        found[size] = frontier.root()
    return found


def _against(heads: Sequence[Head], roots: Mapping[int, bytes], size: int) -> list[str]:
    """Where heads and entries disagree. Of several heads the first says most: all later ones disagree as well."""
    for before, head in zip([None, *heads], heads, strict=False):
        if head.size > size:
            return [f"a head of {head.at} was signed over {head.size} entries, and only {size} are there"]
        if roots[head.size] != head.root:
            first, last = before.size if before else 0, head.size - 1
            which = f"entry {last}" if first == last else f"one of the entries {first} to {last}"
            return [f"{which} is not what was signed on {head.at}"]
    return []


def _witnessed(log: LogCopy, witness: Witness) -> list[str]:
    if witness.key != log.key:
        return [f"the witness remembers a log of another key: {witness.key.log}, and this is {log.key.log}"]
    try:
        head = witness.key.check(witness.note)
    except LogError as error:
        return [f"the witness: {error.what}"]
    if head.size > len(log.entries):
        return [
            f"the witness saw {head.size} entries on {head.at}, and only {len(log.entries)} are here:"
            " this is an older copy, or entries were removed"
        ]
    if _roots(log.entries, {head.size})[head.size] != head.root:
        return [f"the witness saw other entries among the first {head.size} on {head.at}: the history was rewritten"]
    return []
