"""Commands before an audit: create a ledger, and commit secrets in it before they are used."""

from __future__ import annotations

import json as json_text
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from clonewatch.cli import output
from clonewatch.cli.options import Json

if TYPE_CHECKING:
    from clonewatch.audit.ledger import Issued, Ledger

Book = Annotated[Path, typer.Argument(metavar="LEDGER", help="The ledger, a file.")]
Carrier = Annotated[
    list[str] | None, typer.Option("--carrier", metavar="LABEL", help="Case or account that it is used for.")
]
Since = Annotated[str, typer.Option("--since", metavar="DATE", help="From when it is used.")]
Until = Annotated[str, typer.Option("--until", metavar="DATE", help="Until when it is used.")]


def init(ledger: Book, since: Since = "", json: Json = False) -> None:
    """Start a ledger and commit the coins of twin answers, which can be used from the same day.

    For example:

      clonewatch audit init book/ledger.jsonl
    """
    from clonewatch.audit.committing import commit_twins
    from clonewatch.audit.ledger import Ledger, Usage
    from clonewatch.model.errors import InputError

    book = Ledger(ledger)
    begun = [record for record in book.records() if record.kind != "torn"]
    # A file without a record, or with the one of an interrupted run, was begun by this command.
    if begun and not (len(begun) == 1 and book.pending() == "twin"):
        raise InputError("this ledger exists already", where=str(ledger), fix="Add to it: clonewatch audit commit")
    commit_twins(book, Usage(since), lambda issued: _committed(book, issued, "coins of twin answers", json))


def commit(
    ledger: Book,
    kind: Annotated[Literal["watermark", "twin"], typer.Option("--kind", help="Kind of secret.")] = "watermark",
    rule: Annotated[
        Literal["kgw", "gumbel"] | None, typer.Option("--rule", help="How the watermark uses its key; kgw by default.")
    ] = None,
    width: Annotated[
        int | None, typer.Option("--width", min=1, max=8, help="Tokens in a window; 1 for kgw and 2 for gumbel.")
    ] = None,
    gamma: Annotated[
        float | None,
        typer.Option("--gamma", min=0.05, max=0.95, help="Share of green tokens, for kgw; 0.5 by default."),
    ] = None,
    carrier: Carrier = None,
    since: Since = "",
    until: Until = "",
    json: Json = False,
) -> None:
    """Draw a secret and commit to it before anything that carries it is served. Use one per case to identify the case.

    For example:

      clonewatch audit commit book/ledger.jsonl --rule kgw --carrier case-7 --since 2026-03-01
    """
    from clonewatch.audit.committing import WIDTHS, commit_twins, commit_watermark
    from clonewatch.audit.ledger import Ledger, Usage
    from clonewatch.model.errors import InputError

    book, usage = Ledger(existing(ledger)), Usage(since, until, carrier or ())

    def publish(issued: Issued) -> None:
        _committed(book, issued, kind, json)

    if kind == "twin":
        given = {"--rule": rule, "--width": width, "--gamma": gamma}
        meant = [name for name, value in given.items() if value is not None]
        if meant:
            raise InputError(f"{', '.join(meant)} of a twin secret, which has none", fix="They are for watermarks")
        commit_twins(book, usage, publish)
        return
    if rule == "gumbel" and gamma is not None:
        raise InputError("a gumbel watermark has no green tokens", where="--gamma", fix="Leave it out, or use kgw")
    commit_watermark(book, rule or "kgw", width or WIDTHS[rule or "kgw"], gamma or 0.5, usage, publish)


def import_key(
    ledger: Book,
    vllm_config: Annotated[Path, typer.Option("--vllm-config", metavar="FILE", help="The JSON of --watermark-config.")],
    carrier: Carrier = None,
    since: Since = "",
    until: Until = "",
    json: Json = False,
) -> None:
    """Commit the watermark key of a vLLM server before the server uses it. The content of the file is never shown.

    For example:

      clonewatch audit import-key book/ledger.jsonl --vllm-config watermark.json --carrier case-9
    """
    from clonewatch.audit.committing import commit_vllm
    from clonewatch.audit.ledger import Ledger, Usage

    book = Ledger(existing(ledger))
    commit_vllm(
        book,
        vllm_config,
        Usage(since, until, carrier or ()),
        lambda issued: _committed(book, issued, "watermark of vLLM, imported", json),
    )


def mint_canaries(
    ledger: Book,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FILE", help="File for the records, JSONL.")],
    count: Annotated[int, typer.Option("--count", min=1, max=10_000, help="How many.")] = 16,
    length: Annotated[int, typer.Option("--length", help="Secret words per record, 2 to 8.")] = 3,
    carrier: Carrier = None,
    since: Since = "",
    until: Until = "",
    json: Json = False,
) -> None:
    """Draw and commit a seed, and write its records. Serve them only to accounts that are in a case.

    For example:

      clonewatch audit mint-canaries book/ledger.jsonl --carrier case-7 --out book/canaries.jsonl
    """
    from clonewatch.audit import storage
    from clonewatch.audit.canary import TEMPLATE, Canary
    from clonewatch.audit.committing import commit_canaries
    from clonewatch.audit.ledger import Ledger, Usage
    from clonewatch.model.errors import InputError

    book = Ledger(existing(ledger))
    if out.exists() and book.pending() != "canary":
        raise InputError("this file exists already", where=str(out), fix="Name another: canaries are never overwritten")

    def release(issued: Issued, minted: list[Canary]) -> None:
        rows = [{"id": c.id, "carrier": c.carrier, "secret": c.secret, "text": c.text} for c in minted]
        storage.put_new(out, "".join(json_text.dumps(row) + "\n" for row in rows).encode(), 0o600)
        _committed(book, issued, f"{count} canaries", json)

    commit_canaries(book, count, length, TEMPLATE, Usage(since, until, carrier or ()), release)


def flip(
    ledger: Book,
    request_id: Annotated[str, typer.Argument(metavar="REQUEST", help="The id of the request.")],
    secret: Annotated[
        str, typer.Option("--secret", metavar="ID", help="Commitment of the coins, or its beginning.")
    ] = "",
) -> None:
    """Print which of two answers to release: 0 the first, 1 the second. A server does this itself; use this to check.

    For example:

      clonewatch audit flip book/ledger.jsonl request-1042
    """
    from clonewatch.audit import twin
    from clonewatch.audit.committing import resolve
    from clonewatch.audit.ledger import Ledger

    book = Ledger(existing(ledger))
    typer.echo(twin.flip(book.secret(resolve(book, secret, "twin")), request_id))


def reveal(
    ledger: Book,
    secret: Annotated[str, typer.Argument(metavar="ID", help="The commitment, or its beginning.")],
) -> None:
    """Publish a secret in the ledger, so that others can check tests. It cannot be used afterwards; there is no undo.

    For example:

      clonewatch audit reveal book/ledger.jsonl 3f2a91c0
    """
    from clonewatch.audit.committing import resolve
    from clonewatch.audit.ledger import Ledger

    book = Ledger(existing(ledger))
    record = book.reveal(resolve(book, secret))
    output.say(f"Revealed {record.body['commitment']}. Do not use it any more.")


def existing(ledger: Path) -> Path:
    """The ledger, if there is one."""
    from clonewatch.model.errors import InputError

    if not ledger.is_file():
        raise InputError("there is no ledger", where=str(ledger), fix="Start one: clonewatch audit init LEDGER")
    return ledger


def _committed(book: Ledger, issued: Issued, what: str, json: bool) -> None:
    if json:
        output.as_json({"commitment": issued.commitment, "head": book.head(), "resumed": issued.resumed})
        return
    output.say(
        f"Committed: {what}." + (" This finishes an earlier run of the same command." if issued.resumed else ""),
        f"Commitment {issued.commitment}",
        f"Publish or timestamp the head of the ledger: {book.head()}",
        f"The secret is in {book.secrets_path}; keep a copy where nobody else can read it.",
    )
