"""Checks a bundle by itself: signature, hashes, proofs, and every figure anew. Nothing is believed before that."""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from clonewatch.cases.heads import PublicKey
from clonewatch.dossier import audits, documents, envelope, proofs, tables
from clonewatch.dossier.content import SCHEMA, Sources, content
from clonewatch.dossier.figures import computed
from clonewatch.dossier.prices import Prices, parsed
from clonewatch.dossier.writing import DOSSIER, LETTER, PRICES, SCAN
from clonewatch.model.errors import InputError, LogError
from clonewatch.model.version import __version__

_SHOWN = 5


class Bundle(NamedTuple):
    """A bundle as it lies there. dossier, tables, scan: empty where its signature or a hash does not hold.

    faults: one sentence each; none is well. same_version: whether its wording was compared too.
    """

    files: Mapping[str, bytes]
    key: PublicKey | None
    dossier: Mapping[str, Any]
    tables: Mapping[str, pa.Table]
    scan: Mapping[str, Any]
    prices: Prices | None
    faults: tuple[str, ...]
    same_version: bool = False


def verified(folder: Path, key: PublicKey | None = None) -> Bundle:
    """Check the bundle in a folder. key: the key that has to have signed it. Raises InputError where there is none."""
    files, faults = _files(folder)
    if envelope.NAME not in files:
        raise InputError(
            f"there is no {envelope.NAME}", where=str(folder), fix="Name a folder that `clonewatch dossier` wrote"
        )
    bundle = Bundle(files, None, {}, {}, {}, None, tuple(faults))
    try:
        signed = envelope.opened(files[envelope.NAME], key)
    except LogError as error:
        return bundle._replace(faults=(*faults, error.what))
    faults += _hashes(files, signed.files)
    bundle = bundle._replace(key=signed.key, faults=tuple(faults))
    if faults:
        return bundle
    try:
        return _recomputed(bundle, signed)
    except LogError as error:
        return bundle._replace(faults=(error.what,))
    except (KeyError, ValueError, TypeError, IndexError, AttributeError, pa.ArrowException) as error:
        # Signed, and not what this program writes.
        return bundle._replace(faults=(f"the bundle lacks what it should hold: {type(error).__name__}: {error}",))


def _files(folder: Path) -> tuple[dict[str, bytes], list[str]]:
    if not folder.is_dir():
        raise InputError("there is no such folder", where=str(folder), fix="Name the folder of a dossier")
    found, faults = {}, []
    try:
        for path in sorted(folder.rglob("*")):
            name = path.relative_to(folder).as_posix()
            if path.is_symlink() or not (path.is_file() or path.is_dir()):
                faults.append(f"{name} is no regular file")
            elif path.is_file():
                found[name] = path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot read the bundle: {error.strerror or error}", where=str(folder)) from error
    return found, faults


def _hashes(files: Mapping[str, bytes], signed: Mapping[str, str]) -> list[str]:
    here = {name: sha256(data).hexdigest() for name, data in files.items() if name != envelope.NAME}
    return [
        *(f"{name} was changed" for name in sorted(here.keys() & signed.keys()) if here[name] != signed[name]),
        *(f"{name} is missing" for name in sorted(signed.keys() - here.keys())),
        *(f"{name} does not belong to the bundle" for name in sorted(here.keys() - signed.keys())),
    ]


def _recomputed(bundle: Bundle, signed: envelope.Signed) -> Bundle:
    """A bundle whose hashes hold, with what its tables say otherwise than its text. Raises LogError and others."""
    files = bundle.files
    if lacking := {DOSSIER, SCAN, LETTER, proofs.NAME} - files.keys():
        raise LogError(f"the bundle has no {min(lacking)}")
    dossier = envelope.strict(files[DOSSIER], DOSSIER)
    if dossier["schema"] != SCHEMA:
        raise LogError(f"{DOSSIER} is of another kind: {dossier['schema']!r}")
    held = tables.read(files)
    scan = json.loads(files[SCAN])
    prices = parsed(files[PRICES]) if PRICES in files else None
    name, log = str(dossier["case"]["id"]), proofs.proved(files[proofs.NAME])
    digest = proofs.contents_digest({n: data for n, data in files.items() if n != envelope.NAME})
    faults = proofs.faults(log, name, held["case_accounts"]["account_id"].to_pylist(), digest)
    if signed.predicate.get("case") != name:
        faults.append("the signature is about another case")
    faults += _figures(dossier, computed(held, scan, prices))
    files_of_audits = {n: data for n, data in files.items() if n.startswith(audits.FOLDER)}
    audits.told(files_of_audits, name)
    same = dossier["version"] == __version__
    if same and not faults:
        exported = max(n for n, one in log.entries.items() if one.what == "export")
        entries = {n: one for n, one in log.entries.items() if n < exported}
        sources = Sources(proofs.newest(entries, name), entries, log.notes, held, scan, prices, files_of_audits)
        faults += _words(dossier, sources, files, str(signed.predicate.get("typst", "")))
    return bundle._replace(
        dossier=dossier, tables=held, scan=scan, prices=prices, faults=tuple(faults), same_version=same
    )


def _figures(dossier: Mapping[str, Any], anew: Mapping[str, Any]) -> list[str]:
    told = {one["name"]: one["value"] for one in dossier["figures"]}
    differ = sorted(name for name in told.keys() | anew.keys() if told.get(name) != anew.get(name))
    return [f"figure {n}: the dossier says {told.get(n)}, its tables say {anew.get(n)}" for n in differ]


def _words(dossier: Mapping[str, Any], sources: Sources, files: Mapping[str, bytes], typst: str) -> list[str]:
    """Which parts of the dossier, or its documents, are not what follows from the other files.

    typst: the version that made the PDF files, which are compared where it is installed.
    """
    anew = envelope.strict(envelope.spelled(content(sources, dossier["made_at"])), DOSSIER)
    differ = sorted(part for part in dossier.keys() | anew.keys() if dossier.get(part) != anew.get(part))
    faults = [f"part {part} of {DOSSIER} does not follow from the tables and the log" for part in differ[:_SHOWN]]
    letter = documents.letter(dossier, files[DOSSIER])
    made = {LETTER: documents.letter_text(letter)}
    if typst and typst == documents.typesetter():
        made |= documents.pdfs(dossier, letter)
    faults += [f"{name} does not follow from {DOSSIER}" for name, data in made.items() if files.get(name) != data]
    return faults
