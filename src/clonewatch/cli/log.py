"""The commands on the transparency log of cases: check it, remember its head, copy it."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from clonewatch.cli import output
from clonewatch.cli.case_options import StoreOptions, require
from clonewatch.cli.options import Json, grouped
from clonewatch.model.errors import LogError, SetupError

if TYPE_CHECKING:
    from clonewatch.cases.checking import Checked
    from clonewatch.cases.log_file import LogCopy, Witness

EXIT_BROKEN = 3

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
_LogPath = Annotated[
    str, typer.Argument(metavar="PATH", help="A store, a copy of its file, or what `clonewatch log export` wrote.")
]


@app.callback()
def log() -> None:
    """Check the log of everything that was done to cases: a stranger can, offline, on a copy.

    The log is a Merkle tree (RFC 9162) whose heads are signed (Ed25519). A witness file remembers a head somewhere
    else, and shows whether the history was rewritten or an older copy was put in its place.

    For example:

      clonewatch log verify cases.db --witness elsewhere/witness.json --remember

      clonewatch log export --out log.jsonl
    """


@app.command("verify", short_help="Check a log and its store, offline.")
def verify(
    path: _LogPath,
    witness: Annotated[
        list[Path] | None, typer.Option("--witness", metavar="FILE", help="A head that was remembered elsewhere.")
    ] = None,
    remember: Annotated[
        bool, typer.Option("--remember", help="If all is well, remember the new head in the witness file.")
    ] = False,
    timestamp: Annotated[
        Path | None,
        typer.Option("--timestamp", metavar="FILE", help="Answer of a timestamp authority about the remembered head."),
    ] = None,
    authority: Annotated[
        Path | None, typer.Option("--authority", metavar="FILE", help="Root certificate of that authority, PEM.")
    ] = None,
    json: Json = False,
) -> None:
    """Check that every entry is what was signed, that the cases are what the log says, and that nothing was taken back.

    Found are: a changed byte, a removed or added row, a note or list of accounts that was changed and, with a witness,
    a rewritten history and an older copy. Without a witness, whoever holds the key of the log can do the last two
    unseen. Exit code 3 if anything is wrong.

    For example:

      clonewatch log verify cases.db --witness elsewhere/witness.json --remember

      clonewatch log verify log.jsonl --json

      clonewatch log verify log.jsonl --witness witness.json --timestamp reply.tsr --authority ca.pem
    """
    require()
    from clonewatch.cases.log_file import Witness, read_witness, write_witness

    files = witness or []
    if remember and len(files) != 1:
        raise SetupError("--remember needs one witness file", fix="Pass --witness FILE, on another disk or machine")
    known = [read_witness(file) for file in files if not (remember and not file.exists())]
    when = _stamped(known, timestamp, authority)
    held, found = _checked(path, known)
    kept = remember and not found.faults and found.head is not None
    if kept and found.head:
        write_witness(files[0], Witness(held.key, found.head.note))
    if json:
        output.as_json(_told(held, found, len(known)) | {"timestamp": when})
    elif found.faults:
        output.say(f"The log does not hold: {len(found.faults):,} fault{'' if len(found.faults) == 1 else 's'}.")
        output.say(*(f"  {fault}" for fault in found.faults))
    else:
        output.say(*_well(held, found, len(known)), *([f"Remembered in {files[0]}."] if kept else []))
        if when:
            size = held.key.check(known[0].note).size
            output.say(f"An authority signed that the head of {size:,} entries existed on {when:%Y-%m-%d %H:%M}, UTC.")
    if found.faults:
        raise typer.Exit(EXIT_BROKEN)


@app.command("head", short_help="Write the newest signed head.")
def head(
    path: _LogPath,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FILE", help="A witness file: keep it elsewhere.")],
    request: Annotated[
        Path | None,
        typer.Option("--request", metavar="FILE", help="Also write a request (RFC 3161) for a timestamp authority."),
    ] = None,
    json: Json = False,
) -> None:
    """Write the newest signed head, with the key to check it, to a witness file. It names no case and no account.

    Keep it where whoever runs the store cannot change it: mail it, print it, let another team keep it.

    For example:

      clonewatch log head cases.db --out elsewhere/witness.json
    """
    require()
    from clonewatch.cases.log_file import Witness, write_witness

    held, found = _checked(path, ())
    if found.faults:
        raise LogError(
            "the log does not hold", where=_shown(path), fix=f"See why: clonewatch log verify {_shown(path)}"
        )
    if found.head is None:
        raise SetupError(
            "the log is empty", where=_shown(path), fix="There is a head after the first `clonewatch cases import`"
        )
    write_witness(out, Witness(held.key, found.head.note))
    if request:
        from clonewatch.cases.timestamps import write_request

        write_request(request, found.head.note)
    if json:
        output.as_json(_told(held, found, 0))
    else:
        output.say(f"Head of {found.size:,} entries on {found.head.at}, root {found.head.root.hex()}. In {out}.")
        if request:
            output.say(f"Send {request} to an authority, and keep its answer beside {out}.")


@app.command("export", short_help="Copy the log into one file.")
@grouped
def export(
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FILE", help="Where to, in place of an earlier one.")],
    at: StoreOptions,
    json: Json = False,
) -> None:
    """Copy the log into one file that a stranger can check. It holds no account and no note, only their hashes.

    It does hold the names that people gave with --as, and what they ruled.

    For example:

      clonewatch log export --out log.jsonl
    """
    opened = at.open()
    from clonewatch.cases.log_file import write

    with opened.reading() as store:
        held = store.log()
    write(out, held)
    if json:
        output.as_json({"entries": len(held.entries), "heads": len(held.heads), "file": out})
    else:
        output.say(f"Wrote {len(held.entries):,} entries. Check them anywhere: clonewatch log verify {out}")


def _stamped(known: list[Witness], timestamp: Path | None, authority: Path | None) -> datetime | None:
    """When an authority says that the remembered head existed; None where nobody asks."""
    if timestamp is None and authority is None:
        return None
    if timestamp is None or authority is None or len(known) != 1:
        raise SetupError(
            "a timestamp takes its answer, the authority and the head that it is about",
            fix="Pass --timestamp FILE, --authority FILE and one --witness FILE",
        )
    from clonewatch.cases.timestamps import stamped

    return stamped(timestamp, known[0].note, authority)


def _checked(path: str, witnesses: list[Witness] | tuple[()]) -> tuple[LogCopy, Checked]:
    """The log at a path, and what is wrong with it."""
    from clonewatch.cases.checking import check
    from clonewatch.cases.log_file import is_copy, read
    from clonewatch.cases.store import copied
    from clonewatch.cases.store import opened as open_
    from clonewatch.cases.store_checking import check_store

    if "://" not in path and is_copy(Path(path)):
        held = read(Path(path))
        return held, check(held, witnesses)
    with (open_(path) if "://" in path else copied(Path(path))).reading() as store:
        return store.log(), check_store(store, witnesses)


def _shown(path: str) -> str:
    """A path for messages, without a password."""
    from clonewatch.cases.database import place

    return place(path).shown


def _well(held: LogCopy, found: Checked, witnesses: int) -> list[str]:
    if found.head is None:
        return ["The log is empty."]
    seen = (
        f"It continues what {'the witness' if witnesses == 1 else f'{witnesses} witnesses'} saw."
        if witnesses
        else "Without a witness file, whoever holds its key could have rewritten it or put an older copy in its place."
    )
    return [
        f"The log holds: {found.size:,} entries, {len(held.heads):,} signed heads, the last on {found.head.at}.",
        f"Root {found.head.root.hex()}, key {held.key.text}",
        seen,
    ]


def _told(held: LogCopy, found: Checked, witnesses: int) -> dict[str, Any]:
    head = found.head
    return {
        "holds": not found.faults,
        "faults": list(found.faults),
        "entries": found.size,
        "heads": len(held.heads),
        "root": head.root.hex() if head else None,
        "at": head.at if head else None,
        "key": held.key.text,
        "witnesses": witnesses,
    }
