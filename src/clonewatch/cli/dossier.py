"""The commands that make a signed file of a case, and that check one which somebody else made."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from clonewatch.cli import output
from clonewatch.cli.case_options import CaseName, ChangeOptions, require
from clonewatch.cli.options import (
    Accounts,
    AnswersFile,
    CalibrationFile,
    Events,
    Format,
    Json,
    Key,
    Map,
    Quiet,
    grouped,
)
from clonewatch.cli.progress import watching

if TYPE_CHECKING:
    from clonewatch.dossier.verification import Bundle

EXIT_BROKEN = 3

PriceFile = Annotated[
    Path | None, typer.Option("--prices", metavar="FILE", help="List prices of models on a day, in TOML.")
]
AuditFolders = Annotated[
    list[Path] | None,
    typer.Option("--audit", metavar="FOLDER", help="A finished audit of a suspect model; may be repeated."),
]
ScannedLog = Annotated[
    list[str] | None,
    typer.Option("--log", metavar="PATH", help="The log that was scanned: a file, folder or glob; may be repeated."),
]


@dataclass(frozen=True)
class TokenOptions:
    """Where tokens and prices come from."""

    log: ScannedLog = None
    mapping: Map = None
    format: Format = "auto"
    prices: PriceFile = None


@dataclass(frozen=True)
class ScannedOptions:
    """What the scan behind a bundle was given, to repeat it."""

    log: ScannedLog = None
    mapping: Map = None
    accounts: Accounts = None
    events: Events = None
    key: Key = None
    calibration: CalibrationFile = None
    answers: AnswersFile = None


@grouped
def dossier(
    case: CaseName,
    result: Annotated[
        Path, typer.Option("--result", metavar="DIR", help="Folder of a scan that the case was seen in.")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="A new folder for the bundle.")],
    change: ChangeOptions,
    tokens: TokenOptions,
    signing_key: Annotated[
        Path | None,
        typer.Option("--signing-key", metavar="FILE", help="Ed25519 key in PEM that signs; default: that of the log."),
    ] = None,
    audit: AuditFolders = None,
    json: Json = False,
) -> None:
    """Write everything about a case into one signed folder that a stranger can check.

    It says what was observed, what follows and with what uncertainty, what was tested instead and what is not known. It
    names no company. Of a case that no person has confirmed it says that it is no finding. The export is in the log of
    the cases. The folder holds account ids and notes: give it only to those who may see them. letter.txt holds none.

    For example:

      clonewatch dossier K0001 --result result --out dossier-K0001

      clonewatch dossier K0001 --result result --log logs/ --prices prices.toml --out dossier-K0001

      clonewatch dossier K0001 --result result --audit book/march --out dossier-K0001
    """
    opened = change.open()
    from clonewatch.adapters.reading import open_log
    from clonewatch.dossier import documents
    from clonewatch.dossier.envelope import signing_key as read_key
    from clonewatch.dossier.writing import Order, export

    mapping = Path(tokens.mapping) if tokens.mapping else None
    log = open_log(tuple(tokens.log), format=tokens.format, mapping=mapping) if tokens.log else None
    signer = read_key(signing_key) if signing_key else None
    made = export(opened, Order(case, result, log, tokens.prices, audits=tuple(audit or ())), change.who(), out, signer)
    if json:
        output.as_json({"folder": out, "files": sorted(made.files), "status": made.status, "key": made.key})
        return
    output.say(f"Wrote {len(made.files):,} files to {out}.", made.status["said"])
    if not documents.typesetter():
        output.say("No PDF was made: that needs the extra. Install it: pip install 'clonewatch[dossier]'")
    output.say(
        "It holds account ids and notes; letter.txt holds none.",
        f"Key to check it with, which the reader has to get another way: {made.key}",
        f"Check it: clonewatch verify {out}",
    )


@grouped
def verify(
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", help="Folder that `clonewatch dossier` wrote.")],
    scanned: ScannedOptions,
    public_key: Annotated[
        str | None,
        typer.Option("--public-key", metavar="KEY", help="Key that has to have signed it: its text, or a file."),
    ] = None,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Check a dossier: its signature, every file, the proofs of the log, and every figure, computed anew.

    With the log of exchanges the scan is repeated and compared. Without --public-key the bundle is checked against the
    key that it names itself, which anybody could have made. Exit code 3 if anything is wrong. To check a log of cases,
    use `clonewatch log verify`; an audit, `clonewatch audit verify`.

    For example:

      clonewatch verify dossier-K0001 --public-key their-key.txt

      clonewatch verify dossier-K0001 --log logs/
    """
    require()
    from clonewatch.dossier.envelope import known_key
    from clonewatch.dossier.verification import verified

    found = verified(bundle, known_key(public_key) if public_key else None)
    faults = list(found.faults)
    if scanned.log and not faults:
        faults += _repeated(found, scanned, quiet)
    if json:
        told = {
            "holds": not faults,
            "faults": faults,
            "key": found.key.text if found.key else None,
            "key_was_given": public_key is not None,
            "scan_was_repeated": bool(scanned.log) and not found.faults,
            "wording_was_compared": found.same_version,
            "status": found.dossier.get("status"),
        }
        output.as_json(told)
    elif faults:
        output.say(f"The dossier does not hold: {len(faults):,} fault{'' if len(faults) == 1 else 's'}.")
        output.say(*(f"  {fault}" for fault in faults))
    else:
        output.say(*_well(found, public_key is not None, bool(scanned.log)))
    if faults:
        raise typer.Exit(EXIT_BROKEN)


def _repeated(found: Bundle, scanned: ScannedOptions, quiet: bool) -> list[str]:
    from clonewatch.dossier.rescan import RawLog, differences

    given = vars(scanned)
    log = RawLog(
        paths=given["log"],
        key_file=given["key"],
        **{name: given[name] for name in ("mapping", "accounts", "events", "calibration", "answers")},
    )
    with watching(quiet) as progress:
        return differences(found, log, progress)


def _well(found: Bundle, key_given: bool, repeated: bool) -> list[str]:
    said = [
        f"The dossier holds: {len(found.files):,} files, {len(found.dossier['figures']):,} figures, case"
        f" {found.dossier['case']['id']}, made on {found.dossier['made_at']}.",
        found.dossier["status"]["said"],
    ]
    key = found.key.text if found.key else ""
    said.append(
        f"Signed with the key that was given: {key}"
        if key_given
        else f"Signed with {key}. Whose key that is only they can tell you: compare it, and pass --public-key."
    )
    if not found.same_version:
        said.append("Another version of Clonewatch made it: its figures were compared, its wording was not.")
    said.append(
        "The scan was repeated, and says the same." if repeated else "With the log as --log the scan is repeated too."
    )
    return said
