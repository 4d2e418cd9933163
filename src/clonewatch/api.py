"""The Python interface: one typed function per command. Each imports what it needs when it is called."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clonewatch.arguments import as_days, as_instant, as_path, as_paths, as_text, told, watched
from clonewatch.model.defaults import MAX_REPEATED, MEMORY
from clonewatch.model.errors import SetupError
from clonewatch.model.limits import chosen

if TYPE_CHECKING:
    from clonewatch.pipeline.daily.detect_window import Window
    from clonewatch.pipeline.daily.ingest import Ingested
    from clonewatch.pipeline.scan_result import ScanResult
    from clonewatch.ports.progress import Progress


@told
def scan(
    paths: str | Path | Sequence[str | Path],
    out: str | Path | None = None,
    *,
    map: str | Path | None = None,
    accounts: str | Path | None = None,
    events: str | Path | None = None,
    format: str = "auto",
    seed: int = 0,
    key: str | Path | None = None,
    keep_text: bool = False,
    memory: str = MEMORY,
    threads: int | None = None,
    max_rejected: float = 0.01,
    max_repeated: float = MAX_REPEATED,
    since: datetime | str | None = None,
    as_of: datetime | str | None = None,
    calibration: str | Path | None = None,
    answers: str | Path | None = None,
    first_flag: bool = False,
    replay: bool = False,
    embed: bool = False,
    engine: str = "duckdb",
    master: str | None = None,
    limit: Mapping[str, object] | None = None,
    progress: Progress | bool = False,
) -> ScanResult:
    """Read a log and find campaigns, as `clonewatch scan` does, with the same options and the same result.

    The first call on a machine compiles for about a minute; later calls do not.

    >>> import clonewatch
    >>> result = clonewatch.scan("logs/", out="result", accounts="accounts.csv")  # doctest: +SKIP
    >>> result.flagged.to_pylist()  # doctest: +SKIP

    Args:
        paths: One or more log files, folders of them, or globs; addresses such as `s3a://` for Spark.
        out: Folder for the tables and `report.html`. An earlier result there is replaced once the new one is complete.
            None keeps the result in memory.
        map: Field map (TOML) for a log of unknown format, or the name of a preset: `nginx`, `envoy`, `kong`.
        accounts: Account facts: payment, device, sign-up, trusted accounts. CSV, JSON lines or Parquet.
        events: Bans, model releases and outages, with times.
        format: Log format. `auto` recognises it from the files.
        seed: Random seed. Equal seeds give equal tables.
        key: File with the secret key of the hashes, created on first use. None: the key of this user.
        keep_text: Also keep the text of exchanges that are attributed to flagged campaigns. Needs `out`.
        memory: Memory that the engine may use before it spills to disk, such as `"2GB"`.
        threads: Threads of the engine. None: one per core.
        max_rejected: Share of rejected rows, 0 to 1, above which TooManyRejected is raised.
        max_repeated: Share of rows that were merged into others, 0 to 1, above which TooManyRepeated is raised.
        since: Leave out exchanges before this time, a datetime or an ISO 8601 string. Without a time zone it is UTC.
        as_of: Leave out everything from this time on, so that the scan sees the log as it was then.
        calibration: File with your own calibration groups, from `clonewatch calibrate`. None: the shipped ones.
        answers: File with what you found out about groups, from `clonewatch answer` and `cases export-rulings`.
        first_flag: Also find the hour at which each campaign would first have been flagged. Takes about as
            long as ten more scans of the data already read.
        replay: The former name of `first_flag`.
        embed: Merge prompt templates with the same meaning. Needs the extra `embed`, and is slow.
        engine: `duckdb`, which runs in this process, or `spark`, which needs the extra `spark`.
        master: Address of the Spark master. None: the one in Spark's own configuration.
        limit: What reading may cost, by name: `row`, `batch`, `decoded` and `rejected` in bytes or as in `"64MB"`,
            and `expansion`, times a file's bytes on disk.
        progress: True draws progress on standard error. Or pass an object that implements `clonewatch.Progress`.

    Returns:
        The tables, the summary, and the folder that holds them.

    Raises:
        SetupError: A path, map, key or option is wrong. Nothing was read. (InputError, MappingError, KeyFileError.)
        OutputError: The result could not be written. An earlier result is unchanged.
        TooManyRejected: Too many rows were rejected. The result was written but should not be trusted.
        TooManyRepeated: Too many rows were merged into others. The same holds.
    """
    from clonewatch.pipeline.scan import ScanSettings
    from clonewatch.pipeline.scan import scan as run

    settings = ScanSettings(
        paths=as_paths(paths),
        out=as_path(out, "out"),
        mapping=None if map is None else as_text(map, "map"),
        accounts=as_path(accounts, "accounts"),
        events=as_path(events, "events"),
        format=format,
        seed=seed,
        key_file=as_path(key, "key"),
        keep_text=keep_text,
        memory=memory,
        threads=threads,
        max_rejected=max_rejected,
        max_repeated=max_repeated,
        since=as_instant(since, "since"),
        as_of=as_instant(as_of, "as_of"),
        calibration=as_path(calibration, "calibration"),
        answers=as_path(answers, "answers"),
        first_flag=first_flag or replay,
        embed=embed,
        engine=engine,
        master=master,
        limits=chosen(limit),
    )
    with watched(progress) as watcher:
        return run(settings, watcher)


@told
def load(folder: str | Path) -> ScanResult:
    """Read back the result that a scan wrote into a folder.

    Args:
        folder: The folder that was passed as `out`.

    Raises:
        InputError: The folder holds no result, or one of its files cannot be read.
    """
    from clonewatch.pipeline.scan_result import load as run

    return run(Path(as_text(folder, "folder")))


@told
def doctor(
    paths: str | Path | Sequence[str | Path],
    *,
    map: str | Path | None = None,
    accounts: str | Path | None = None,
    events: str | Path | None = None,
    format: str = "auto",
    limit: Mapping[str, object] | None = None,
) -> dict[str, Any]:
    """Report what a log allows before you scan it, as `clonewatch doctor --json` does. Reads the first 50,000 rows.

    Args:
        paths: Log files, folders of them, or globs.
        map: Field map (TOML), or the name of a preset.
        accounts: What you know of accounts, for a log that has it in no file beside it.
        events: Bans, model releases and outages.
        format: Log format. `auto` recognises it from the files.
        limit: What reading may cost, as for `scan`.

    Returns:
        `rows`, `rejected` with `reasons`, `columns` (share of rows filled), `signals` (which can work, and what the
        others lack), `reach` (families of evidence they can give), `least_ring`, `trusted_accounts`,
        `formats` and `warnings`.

    Raises:
        SetupError: A path or the map is wrong. (InputError, MappingError.)
    """
    from clonewatch.adapters.reading import open_log
    from clonewatch.pipeline.look import look

    sides = {"accounts": as_path(accounts, "accounts"), "events": as_path(events, "events")}
    opened = open_log(as_paths(paths), format=format, mapping=as_path(map, "map"), limits=chosen(limit), **sides)
    return look(opened)


@told
def ingest(
    paths: str | Path | Sequence[str | Path],
    state: str | Path,
    *,
    map: str | Path | None = None,
    accounts: str | Path | None = None,
    events: str | Path | None = None,
    format: str = "auto",
    key: str | Path | None = None,
    memory: str = MEMORY,
    threads: int | None = None,
    max_rejected: float = 0.01,
    limit: Mapping[str, object] | None = None,
    progress: Progress | bool = False,
) -> Ingested:
    """Add a log to a state, which keeps fingerprints and hashes, never text, as `clonewatch ingest` does.

    Files and exchanges that are already in the state change nothing.

    Args:
        paths: Log files, folders of them, or globs.
        state: Folder of the state, created on first use.
        map: Field map (TOML), or the name of a preset.
        accounts: Account facts.
        events: Bans, model releases and outages, with times.
        format: Log format. `auto` recognises it from the files.
        key: File with the secret key of the hashes. A state belongs to one key.
        memory: Memory that the engine may use before it spills to disk.
        threads: Threads of the engine. None: one per core.
        max_rejected: Share of rejected rows, 0 to 1, above which nothing is added.
        limit: What reading may cost, as for `scan`.
        progress: True draws progress on standard error. Or pass an object that implements `clonewatch.Progress`.

    Returns:
        How many exchanges were read, rejected and repeated, and how many were added per day.

    Raises:
        SetupError: A path, map, key or option is wrong. Nothing was read.
        StateError: The state is damaged, in use, or belongs to another key.
        OutputError: The state could not be written and is unchanged.
        TooManyRejected: Too many rows were rejected. The state is unchanged.
    """
    from clonewatch.pipeline.daily.ingest import IngestSettings
    from clonewatch.pipeline.daily.ingest import ingest as run

    settings = IngestSettings(
        paths=as_paths(paths),
        state=Path(as_text(state, "state")),
        mapping=None if map is None else as_text(map, "map"),
        accounts=as_path(accounts, "accounts"),
        events=as_path(events, "events"),
        format=format,
        key_file=as_path(key, "key"),
        memory=memory,
        threads=threads,
        max_rejected=max_rejected,
        limits=chosen(limit),
    )
    with watched(progress) as watcher:
        return run(settings, watcher)


@told
def detect(
    state: str | Path,
    out: str | Path,
    *,
    days: Sequence[int] = (7, 14, 44),
    until: datetime | str | None = None,
    key: str | Path | None = None,
    seed: int = 0,
    memory: str = MEMORY,
    threads: int | None = None,
    calibration: str | Path | None = None,
    answers: str | Path | None = None,
    first_flag: bool = False,
    replay: bool = False,
    again: bool = False,
    max_repeated: float = MAX_REPEATED,
    progress: Progress | bool = False,
) -> list[Window]:
    """Look for campaigns in the latest days of a state, as `clonewatch detect` does.

    Args:
        state: Folder of the state.
        out: Folder for the results. Each window gets a folder in it, such as `7-days`.
        days: Lengths of the windows, in days.
        until: Last day of the windows, a datetime or an ISO 8601 string. None: the newest day of the state.
        key: File with the secret key of the hashes.
        seed: Seed of the clustering.
        memory: Memory that the engine may use before it spills to disk.
        threads: Threads of the engine. None: one per core.
        calibration: File with your own calibration groups.
        answers: File with what you found out about groups, from `clonewatch answer` and `cases export-rulings`.
        first_flag: Also find the hour at which each campaign would first have been flagged.
        replay: The former name of `first_flag`.
        again: Also examine windows whose result would not change.
        max_repeated: Share of rows that were merged into others, 0 to 1, above which TooManyRepeated is raised.
        progress: True draws progress on standard error. Or pass an object that implements `clonewatch.Progress`.

    Returns:
        One window each: `first`, `last`, `out`, and `result`, which is None if nothing changed since the result in
        `out` was written; `clonewatch.load(window.out)` reads that.

    Raises:
        SetupError: An option is wrong.
        StateError: The state is empty, damaged, in use, or belongs to another key.
        OutputError: A result could not be written. An earlier result is unchanged.
        TooManyRepeated: Too many rows were merged into others. The results were written but should not be trusted.
    """
    from clonewatch.pipeline.daily.detect_window import WindowSettings, windows

    settings = WindowSettings(
        state=Path(as_text(state, "state")),
        out=Path(as_text(out, "out")),
        days=as_days(days),
        until=as_instant(until, "until"),
        seed=seed,
        key_file=as_path(key, "key"),
        memory=memory,
        threads=threads,
        calibration=as_path(calibration, "calibration"),
        answers=as_path(answers, "answers"),
        first_flag=first_flag or replay,
        again=again,
        max_repeated=max_repeated,
    )
    with watched(progress) as watcher:
        return windows(settings, watcher)


@told
def simulate(
    scenario: str,
    out: str | Path,
    *,
    seed: int = 0,
    scale: float = 1.0,
    text: bool = False,
    without: Sequence[str] = (),
    progress: Progress | bool = False,
) -> dict[str, Any]:
    """Write a labelled synthetic log: honest accounts, look-alikes, and a harvest among them.

    Args:
        scenario: Name of a scenario, such as `demo`; `clonewatch simulate --list` prints all of them.
        out: New folder for the log. The labels are in its folder `labels`, which a scan never reads.
        seed: Equal seeds give equal logs.
        scale: Factor on the number of accounts; 0.1 is a tenth.
        text: Write generated messages instead of fingerprints.
        without: What the log lacks, such as `("payment", "trusted")`; an unknown name is answered with the known ones.
        progress: True draws progress on standard error. Or pass an object that implements `clonewatch.Progress`.

    Returns:
        The content of `scenario.json`: accounts, exchanges, roles, campaigns.

    Raises:
        SetupError: There is no such scenario, or the scale is not positive.
        OutputError: The folder exists and is not empty.
    """
    from clonewatch.lab.simulate import simulate as run

    with watched(progress) as watcher:
        return run(
            scenario,
            Path(as_text(out, "out")),
            seed=seed,
            scale=scale,
            text=text,
            without=without,
            progress=watcher,
        )


@told
def evaluate(result: ScanResult | str | Path, labels: str | Path) -> dict[str, Any]:
    """Score a result against labels: accounts, campaigns and exchanges found, and honest accounts wrongly flagged.

    Args:
        result: A result that was written to a folder, or that folder.
        labels: The log folder of `simulate`, or its folder `labels`.

    Returns:
        Nested measures by name. A share whose denominator is zero is None.

    Raises:
        SetupError: The result is in memory only and has no folder.
        InputError: A table or column is missing, or result and labels have no account in common.
    """
    from clonewatch.lab.evaluate import evaluate as run
    from clonewatch.pipeline.scan_result import ScanResult, table_paths

    folder = result.directory if isinstance(result, ScanResult) else result
    if isinstance(result, ScanResult) and folder is None:
        raise SetupError("the result is in memory only", fix="Scan with out=, so that it is written to a folder")
    return run(table_paths(Path(as_text(folder, "result"))), Path(as_text(labels, "labels")))
