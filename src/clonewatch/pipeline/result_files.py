"""What a result folder holds: the manifest that lists its files with their hashes, and reading them against it.

A result is published in two steps. Its files and their manifest are complete in a hidden folder that is then renamed to
COMMITTED: from that moment it is the result. Then its files move into place, the manifest last. A reader looks for each
file in COMMITTED first, so a process that is killed in between leaves a result that can be read.
"""

from __future__ import annotations

from pathlib import Path

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from clonewatch.model import schema
from clonewatch.model.errors import InputError
from clonewatch.model.text_files import bytes_of
from clonewatch.model.version import __version__
from clonewatch.state.files import difference
from clonewatch.state.manifest import File
from clonewatch.state.sealed import seal, unsealed

VERSION = "clonewatch.result.v1"
NAME = "result.json"
COMMITTED = ".publish"
SUMMARY, REPORT, REJECTED = "scan.json", "report.html", "rejected.ndjson"
INPUTS, TEXTS = "inputs.ndjson", "texts.parquet"
TABLES = tuple(f"{table.name}.parquet" for table in schema.RESULTS)
# A manifest that names anything else is not ours, whatever it says of itself: what it names may be replaced.
NAMES = frozenset({*TABLES, SUMMARY, REPORT, REJECTED, INPUTS, TEXTS})
# Without these there is no result.
_NEEDED = (*TABLES, SUMMARY)
_IDS = ("campaign_id", "account_id", "exchange_id")
_SMALL = 16 << 20  # bytes of a file that is compared whole, whether or not it is read
_AGAIN = "Name the folder that `clonewatch scan --out` wrote, or run the scan again"


class ResultManifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Every file of a result. schema: version of this document. version: of Clonewatch. tables: table -> columns."""

    schema: str
    version: str
    files: tuple[File, ...]
    tables: dict[str, tuple[str, ...]] = {}

    @property
    def names(self) -> set[str]:
        """Names of the files."""
        return {file.name for file in self.files}


class ResultFiles:
    """A result in a folder, as its manifest lists it."""

    def __init__(self, folder: Path, manifest: ResultManifest) -> None:
        self.folder, self.manifest = folder, manifest
        self._files = {file.name: file for file in manifest.files}
        self._intact: set[str] = set()

    def path(self, name: str) -> Path:
        """The path of a file, whose bytes are compared with what was written, once. Raises InputError."""
        if name not in self._files:
            raise InputError(f"the result holds no {name}", where=str(self.folder), fix=_AGAIN)
        path = located(self.folder, name)
        if name not in self._intact:
            self._check(path, self._files[name], whole=True)
            self._intact.add(name)
        return path

    def check(self) -> None:
        """Raise InputError where a file is missing or differs; of a long one only its size is compared here."""
        for name in (name for name in _NEEDED if name not in self._files):
            raise InputError(f"the result holds no {name}", where=str(self.folder), fix=_AGAIN)
        for file in self.manifest.files:
            self._check(located(self.folder, file.name), file, whole=file.size <= _SMALL)
        for table in schema.RESULTS:
            path = located(self.folder, f"{table.name}.parquet")
            if what := _lacks(path, table):
                fix = f"It is no table of this version. {_AGAIN}"
                raise InputError(f"{path.name} {what}", where=str(path), fix=fix)

    def _check(self, path: Path, file: File, *, whole: bool) -> None:
        what = difference(path, file, whole=whole)
        if what and read_manifest(located(self.folder, NAME)) != self.manifest:
            what = "another scan has just replaced the result"
        if what:
            raise InputError(f"{file.name} is not what was written: {what}", where=str(path), fix=_AGAIN)


def _lacks(path: Path, table: schema.Table) -> str:
    """What a table lacks by which every reader finds its rows, in words; empty for nothing. Only its footer is read."""
    try:
        footer = pq.read_metadata(path)
        types = {field.name: field.type for field in footer.schema.to_arrow_schema()}
    except (OSError, pa.ArrowException):
        return "is no table"
    wanted = [name for name in table.names if name in _IDS]
    if wrong := [name for name in wanted if types.get(name) != pa.string()]:
        return f"has no text in {wrong[0]}"
    groups = [footer.row_group(number) for number in range(footer.num_row_groups)]
    for one in (group.column(place) for group in groups for place in range(group.num_columns)):
        missing = one.statistics.null_count if one.statistics and one.statistics.has_null_count else 0
        if table in (schema.CAMPAIGNS, schema.MEMBERS) and one.path_in_schema in wanted and missing:
            return f"has rows without {one.path_in_schema}"
    return ""


def opened(folder: Path) -> ResultFiles:
    """The result in a folder. Raises InputError where there is none, or files differ from what was written."""
    if not folder.is_dir():
        what = "that is a file, not a folder" if folder.exists() else "there is no such folder"
        raise InputError(what, where=str(folder), fix=_AGAIN)
    files = ResultFiles(folder, read_manifest(located(folder, NAME)))
    files.check()
    return files


def located(folder: Path, name: str) -> Path:
    """Where a file of a result is: in place, or on its way there."""
    on_its_way = folder / COMMITTED / name
    return on_its_way if (folder / COMMITTED / NAME).is_file() and on_its_way.is_file() else folder / name


def read_manifest(path: Path) -> ResultManifest:
    """The manifest of a result. Raises InputError where there is none, it is damaged, or another version wrote it."""
    try:
        data = bytes_of(path, pipes=False)
    except OSError as error:
        what = f"it cannot be read ({error.strerror})" if path.exists() else "it is missing"
        beside = any((path.parent / name).exists() for name in NAMES)
        raise InputError(
            f"this folder holds {'no complete' if beside else 'no'} result: {NAME} lists its files, and {what}",
            where=str(path.parent),
            fix=_AGAIN,
        ) from error
    try:
        manifest = msgspec.json.decode(unsealed(data), type=ResultManifest)
    except ValueError as error:
        raise InputError(
            f"{NAME} is damaged or no manifest of a result: {error}", where=str(path), fix=_AGAIN
        ) from error
    if manifest.schema != VERSION or not manifest.names <= NAMES:
        raise InputError(
            f"this result has version {manifest.schema!r}, and this program reads {VERSION!r}",
            where=str(path),
            fix="Use the version of Clonewatch that wrote it, or run the scan again",
        )
    return manifest


def encode(files: tuple[File, ...], tables: dict[str, tuple[str, ...]]) -> bytes:
    """The manifest of a result as bytes. tables: name of a table -> its columns."""
    manifest = ResultManifest(VERSION, __version__, files, tables)
    return seal(msgspec.json.format(msgspec.json.encode(manifest), indent=1))
