"""Hostile inputs, made by small code, each with what should come of it: families, by format and by command."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import io
import json
import shutil
import zipfile
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet as pq
import zstandard
from tests.hostile import audits
from tests.hostile.running import EITHER, FAILS, WORKS, Case, Expected, Words

from clonewatch.lab.simulate import simulate
from clonewatch.pipeline.result_files import NAME
from clonewatch.state.sealed import seal, unsealed

ROWS = 60


# ---- what every input starts from ------------------------------------------------------------------------------------


def prepare(shared: Path) -> None:
    """What inputs share: a log, its result, another result, and a state."""
    from typer.testing import CliRunner

    from clonewatch.cli.main import app

    for name, seed in (("one", 3), ("two", 4)):
        simulate("s01_shared_cards", shared / name, seed=seed, scale=0.02)
        ask = ["scan", shared / name, "--out", shared / f"{name}-result", "--key", shared / "key", "--quiet"]
        assert CliRunner().invoke(app, [str(word) for word in ask]).exit_code == 0
    ask = ["ingest", shared / "one", "--state", shared / "state", "--key", shared / "key", "--quiet"]
    assert CliRunner().invoke(app, [str(word) for word in ask]).exit_code == 0
    write_tables(shared)
    audits.prepare(shared)
    (shared / "log.ndjson").write_text("".join(json.dumps(good(n)) + "\n" for n in range(ROWS)))


def good(number: int) -> dict[str, Any]:
    return {
        "exchange_id": f"x{number}",
        "ts": f"2026-05-01T{number % 24:02}:{number % 60:02}:00Z",
        "account_id": f"a{number % 7}",
        "user_agent": f"agent {number}",
    }


_FIELDS = ("exchange_id", "ts", "account_id", "user_agent")
MAPPED = 'format = "{}"\n[fields]\n' + "".join(f'{name} = "{name}"\n' for name in _FIELDS)


# ---- one hostile row among good ones ---------------------------------------------------------------------------------

_X = b"x-1,2026-05-01T00:00:00Z,a1,"
CSV_ROWS: dict[str, bytes] = {
    "unclosed quote": _X + b'"never closed',
    "unclosed quote in the id": b'"x-1,2026-05-01T00:00:00Z,a1,agent',
    "quote in a cell": _X + b'he said "no" twice',
    "bytes that are no text": _X + b"caf\xe9 \xff\xfe",
    "too few cells": b"x-1,2026-05-01T00:00:00Z",
    "too many cells": _X + b"a,b,c,d,e",
    "zero bytes": _X + b"\0\0\0",
    "control characters": _X + b"\x1b[2J\x07\xc2\x9b31m\xe2\x80\xae",
    "a carriage return": _X + b"agent\rmore",
    "a long cell": _X + b"y" * 300_000,
    "a cell beyond all bounds": _X + b"y" * (17 << 20),
    "a time that is none": b"x-1,yesterday,a1,agent",
    "an account that is none": b"x-1,2026-05-01T00:00:00Z,,agent",
    "only separators": b",,,",
}
_J = '{"exchange_id": "x-1", "ts": "2026-05-01T00:00:00Z", "account_id": "a1", "user_agent": '
JSON_ROWS: dict[str, bytes] = {
    "unclosed text": _J.encode() + b'"never closed',
    "no JSON": b"broken",
    "bytes that are no text": _J.encode() + b'"caf\xe9 \xff\xfe"}',
    "half a surrogate pair": _J.encode() + b'"\\ud800"}',
    "nested lists": _J.encode() + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "nested objects": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "unclosed braces": b"{" * 100_000,
    "a number beyond all bounds": _J.encode() + b"1e999999}",
    "no number": _J.encode() + b"NaN}",
    "zero bytes": _J.encode() + b'"\0"}',
    "control characters": _J.encode() + b'"\\u001b[2J\\u009b\\u202e"}',
    "a key twice": _J.encode() + b'"a", "account_id": "a2"}',
    "a list": b"[1, 2, 3]",
    "a long value": _J.encode() + b'"' + b"y" * 300_000 + b'"}',
    "a line beyond all bounds": _J.encode() + b'"' + b"y" * (17 << 20) + b'"}',
    "types that are wrong": b'{"exchange_id": {}, "ts": [], "account_id": true}',
}


def rows(kind: str, form: str, place: int) -> Callable[[Path, Path], Words]:
    """A log with a hostile row before, among or after good ones."""

    def make(folder: Path, shared: Path) -> Words:
        json_rows = form in ("ndjson", "jsonl_map")
        hostile = (JSON_ROWS if json_rows else CSV_ROWS)[kind]
        lines = [
            json.dumps(good(n)).encode() if json_rows else ",".join(map(str, good(n).values())).encode()
            for n in range(ROWS)
        ]
        lines.insert(place, hostile)
        if not json_rows:
            lines.insert(0, b"exchange_id,ts,account_id,user_agent")
        data = b"\n".join(lines) + b"\n"
        path = folder / {"ndjson": "log.ndjson", "jsonl_map": "log.jsonl"}.get(form, "log.csv")
        if form == "csv_map, gzip":
            path, data = folder / "log.csv.gz", gzip.compress(data, 1)
        path.write_bytes(data)
        if form == "ndjson":
            return "doctor", path, "--json"
        (folder / "map.toml").write_text(MAPPED.format(form.partition(",")[0]))
        return "doctor", path, "--map", folder / "map.toml", "--json"

    return make


def row_cases() -> Iterator[Case]:
    for form, kinds in (
        ("ndjson", JSON_ROWS),
        ("jsonl_map", JSON_ROWS),
        ("csv_map", CSV_ROWS),
        ("csv_map, gzip", CSV_ROWS),
    ):
        for kind, place in product(kinds, (ROWS // 2, ROWS)):
            lost = int(kind not in ("only separators",))
            yield Case("a hostile row", form, "doctor", rows(kind, form, place), Expected(WORKS, ROWS, lost))


# ---- few bytes that hold many ----------------------------------------------------------------------------------------

REPEATS = 600  # mebibytes, from a few kilobytes


def _packed(kind: str, piece: bytes) -> bytes:
    if kind == "zip":
        whole = io.BytesIO()
        with (
            zipfile.ZipFile(whole, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
            archive.open("log", "w") as file,
        ):
            for _ in range(REPEATS // 2):
                file.write(piece)
        return whole.getvalue()
    pack = {"gzip": gzip.compress, "zstd": zstandard.ZstdCompressor().compress, "bzip2": bz2.compress}[kind]
    return pack(piece) * (REPEATS // 2 if kind != "bzip2" else REPEATS // 20)


def packed(kind: str, piece: bytes) -> Callable[[Path, Path], Words]:
    def make(folder: Path, shared: Path) -> Words:
        (folder / "log").write_bytes(_packed(kind, piece))
        return "doctor", folder / "log", "--format", "exchange_ndjson", "--json"

    return make


def _same(value: Any, rows: int, kind: pa.DataType | None = None) -> pa.Array:
    return pa.DictionaryArray.from_arrays(pa.array([0] * rows, pa.int32()), pa.array([value], kind))


def _table(name: str) -> pa.Table:
    """A table that takes little room on disk and much in memory."""
    few = {n: _same(v, 3) for n, v in (("exchange_id", "x"), ("account_id", "a"))}
    few["ts"] = pa.array([1_777_600_000_000_000] * 3, pa.timestamp("us", "UTC"))
    if name == "repeated text":
        many = 100_000
        time = pa.array([1_777_600_000_000_000] * many, pa.timestamp("us", "UTC"))
        return pa.table({"exchange_id": _same("x", many), "account_id": _same("a", many), "ts": time,
                         "system_text": _same("s" * 900_000, many), "plan": _same("p" * 900_000, many)})  # fmt: skip
    if name == "rows of nothing":
        return pa.table({n: pa.nulls(40_000_000, pa.string()) for n in few})
    if name == "long values":
        long = pa.array(["m" * 100_000_000] * 3)
        return pa.table({**few, "messages": long, "plan": long})
    if name == "long lists":
        flat = pa.nulls(80_000_000, pa.uint32()).fill_null(0)
        return pa.table({**few, "sketch": pa.ListArray.from_arrays(pa.array([0, 1, 2, 80_000_000], pa.int32()), flat)})
    if name == "many columns":
        return pa.table({**few, **{f"c{n}": pa.array([1] * 3, pa.int8()) for n in range(3000)}})
    deep: pa.Array = pa.array(["s"] * 3)
    for _ in range(60):
        deep = pa.StructArray.from_arrays([deep], ["a"])
    return pa.table({**few, "messages": deep})


TABLES = ("repeated text", "rows of nothing", "long values", "long lists", "many columns", "nested structs")


def write_tables(shared: Path) -> None:
    """Each table as Parquet and Arrow, file and stream. It takes the memory that reading must not take."""
    for name in TABLES:
        table = _table(name)
        pq.write_table(table, shared / f"{name}.parquet", compression="zstd", data_page_size=1 << 30,
                       use_dictionary=name == "repeated text")  # fmt: skip
        options = pa.ipc.IpcWriteOptions(compression="zstd")
        for form, opened in (("arrow", pa.ipc.new_file), ("arrows", pa.ipc.new_stream)):
            with opened(shared / f"{name}.{form}", table.schema, options=options) as file:
                file.write_table(table)


def columnar(name: str, form: str, role: str) -> Callable[[Path, Path], Words]:
    def make(folder: Path, shared: Path) -> Words:
        path = shared / f"{name}.{form}"
        if role in ("accounts", "events"):
            return "doctor", shared / "log.ndjson", f"--{role}", path, "--json"
        if role == "map":
            (folder / "map.toml").write_text(MAPPED.format("parquet_map"))
            return "doctor", path, "--map", folder / "map.toml", "--json"
        return "doctor", path, "--json"

    return make


def bomb_cases() -> Iterator[Case]:
    pieces = {
        "braces": b"{" * (2 << 20),
        "brackets": b"[" * (2 << 20),
        "blank lines": b"\n" * (2 << 20),
        "short lines": b"1\n" * (1 << 20),
        "zeros": bytes(2 << 20),
    }
    for name, piece in pieces.items():
        yield Case("a bomb", "zstd", "doctor", packed("zstd", piece), Expected(EITHER))
        if name in ("braces", "short lines"):  # the others only differ in how they are unpacked
            for kind in ("gzip", "bzip2"):
                yield Case("a bomb", kind, "doctor", packed(kind, piece), Expected(EITHER))
    yield Case("a bomb", "zip", "doctor", packed("zip", pieces["braces"]), Expected(EITHER))
    for name, role in product(TABLES, ("log", "accounts", "events", "map")):
        yield Case("a bomb", f"parquet, {name}", "doctor", columnar(name, "parquet", role), Expected(EITHER))
    for name, role in product(TABLES, ("log", "accounts")):
        yield Case("a bomb", f"arrow, {name}", "doctor", columnar(name, "arrow", role), Expected(EITHER))
    for name in TABLES:
        yield Case("a bomb", f"arrows, {name}", "doctor", columnar(name, "arrows", "log"), Expected(EITHER))


# ---- files beside the log --------------------------------------------------------------------------------------------

SIDES: dict[str, tuple[bytes, frozenset[int], str]] = {
    "nothing": (b"", WORKS, "nothing is known"),
    "a mark of UTF-16": (b"\xff\xfe", WORKS, "nothing is known"),
    "a header": (b"account_id,ts,kind\n", WORKS, "holds no row"),
    "another header": (b"name,colour\na,b\n", FAILS, "no column"),
    "bytes": (bytes(range(256)) * 40, FAILS, ""),
    "zeros": (bytes(10_000), FAILS, ""),
    "half a Parquet file": (b"PAR1" + bytes(1000), FAILS, "footer"),
    "half an Arrow file": (b"ARROW1\0\0" + bytes(1000), FAILS, "Arrow"),
    "braces": (b"{" * 1_000_000, EITHER, ""),
    "an unclosed quote": (b'account_id,ts,kind\na1,2026-05-01,ban\na2,"2026-05-01,ban\na3,2026-05-01,ban\n', WORKS, ""),
    "bytes that are no text": (b"account_id,ts,kind,plan\na1,2026-05-01,ban,caf\xe9\n", WORKS, ""),
    "escapes in the header": (b"account_id,ts,kind,\x1b[2J\xe2\x80\xae\na1,2026-05-01,ban,x\n", WORKS, "unprintable"),
}  # fmt: skip


def side(kind: str, role: str) -> Callable[[Path, Path], Words]:
    def make(folder: Path, shared: Path) -> Words:
        (folder / "side").write_bytes(SIDES[kind][0])
        return "doctor", shared / "log.ndjson", f"--{role}", folder / "side", "--json"

    return make


def side_cases() -> Iterator[Case]:
    for kind, role in product(SIDES, ("accounts", "events")):
        _, exits, says = SIDES[kind]
        yield Case("a file beside the log", role, "doctor", side(kind, role), Expected(exits, 0, 0, says))


# ---- settings --------------------------------------------------------------------------------------------------------

FILES: dict[str, bytes] = {
    "nothing": b"",
    "bytes": bytes(range(256)),
    "nested lists": b"a = " + b"[" * 100_000,
    "nested JSON": b"[" * 100_000,
    "nested objects": b'{"a":' * 100_000,
    "wrong types": b'{"schema": [], "groups": {}, "accounts": 7, "question": {}, "logs": null}\n',
    "a list": b"[1, 2, 3]\n",
    "numbers beyond all bounds": b'{"schema": "clonewatch.calibration.v1", "logs": 1e999, "groups": [["a", 1e999, 1]]}',
    "text": b"no such thing\n",
    "escapes": b'\x1b[2J = "\xe2\x80\xae"\n[fields]\n"\xc2\x9b" = "x"\n',
}
VALUES = (
    *(("--memory", v) for v in ("lots", "0", "-1GB", "", "9" * 40 + "TB", "1e9GB", "NaN GB", "1MB")),
    *(("--threads", v) for v in ("0", "-1", "100000", "many", "1.5")),
    *(("--seed", v) for v in ("-1", "99999999999", "x")),
    *(("--max-rejected", v) for v in ("nan", "2", "-1", "all")),
    *(("--max-repeated", v) for v in ("nan", "2", "-1")),
    *(("--since", v) for v in ("yesterday", "", "9999-99-99", "\x1b[2J")),
    *(("--format", v) for v in ("none", "", "\x1b[2J\u202e")),
    *(("--engine", v) for v in ("none", "", "\x1b[2J")),
)  # fmt: skip


def setting(option: str, kind: str) -> Callable[[Path, Path], Words]:
    """A file of settings that is none."""

    def make(folder: Path, shared: Path) -> Words:
        path = folder / "settings"
        if kind == "a folder":
            path.mkdir()
        elif kind == "a device":
            path = Path("/dev/zero")
        elif kind in FILES:
            path.write_bytes(FILES[kind])
        return ("scan", shared / "log.ndjson", f"--{option}", path, "--out", folder / "out",
                "--key", shared / "key", "--quiet", "--threads", 1)  # fmt: skip

    return make


def value(option: str, given: str) -> Callable[[Path, Path], Words]:
    def make(folder: Path, shared: Path) -> Words:
        return ("scan", shared / "log.ndjson", f"{option}={given}", "--out", folder / "out",
                "--key", shared / "key", "--quiet")  # fmt: skip

    return make


def setting_cases() -> Iterator[Case]:
    for option, kind in product(("map", "answers", "calibration"), (*FILES, "a folder", "a device", "missing")):
        fails = WORKS if (option, kind) == ("answers", "nothing") else FAILS
        yield Case("settings", option, "scan", setting(option, kind), Expected(fails))
    for option, given in VALUES:
        yield Case("settings", option, "scan", value(option, given), Expected(FAILS))


# ---- results and states ----------------------------------------------------------------------------------------------

READERS: dict[str, Callable[[Path, Path], Words]] = {
    "report": lambda result, shared: ("report", result),
    "campaigns": lambda result, shared: ("campaigns", result),
    "show": lambda result, shared: ("show", "C0001", "--scan", result),
    "why": lambda result, shared: ("why", "acct-\x1b[2J\u202e", "--scan", result),
    "answer": lambda result, shared: ("answer", "C0001", "--scan", result, "--yes", "--question", "one_customer"),
    "evaluate": lambda result, shared: ("evaluate", result, shared / "one"),
    "track": lambda result, shared: ("track", result, shared / "two-result"),
}
HARMED = ("scan.json", "members.parquet", "campaigns.parquet", "result.json", "attribution.parquet")


def harmed(reader: str, harm: str, name: str) -> Callable[[Path, Path], Words]:
    def make(folder: Path, shared: Path) -> Words:
        result = Path(shutil.copytree(shared / "one-result", folder / "result"))
        spoil(result / name, harm, shared / "two-result" / name)
        return READERS[reader](result, shared)

    return make


def resealed(reader: str, name: str, kind: str) -> Callable[[Path, Path], Words]:
    """A result with a file of another version or program, and a manifest that lists it."""

    def make(folder: Path, shared: Path) -> Words:
        result = Path(shutil.copytree(shared / "one-result", folder / "result"))
        if name == "scan.json":
            data = {
                "wrong types": b'{"counts": [], "settings": 7}',
                "nested": b'{"counts":' + b"[" * 950 + b"]" * 950 + b"}",
            }
            (result / name).write_bytes(data[kind])
        else:
            table = pq.read_table(result / name)
            nulls = pa.table({n: pa.nulls(1, table[n].type) for n in table.column_names})
            pq.write_table({"another table": pa.table({"x": [1]}), "only nulls": nulls}[kind], result / name)
        listed = json.loads(unsealed((result / NAME).read_bytes()))
        written = (result / name).read_bytes()
        for file in (file for file in listed["files"] if file["name"] == name):
            file |= {"size": len(written), "sha256": hashlib.sha256(written).hexdigest()}
        (result / NAME).write_bytes(seal(json.dumps(listed).encode()))
        return READERS[reader](result, shared)

    return make


def spoil(path: Path, harm: str, other: Path) -> None:
    data = path.read_bytes()
    if harm == "missing":
        path.unlink()
    elif harm == "from another":
        shutil.copy(other, path)
    else:
        path.write_bytes({
            "empty": b"",
            "cut": data[: len(data) // 2],
            "flipped": data[: len(data) // 2] + bytes([data[len(data) // 2] ^ 1]) + data[len(data) // 2 + 1 :],
            "nested": b"[" * 100_000,
            "wrong types": b'{"counts": [], "settings": 7, "window": "x", "files": {}}',
        }[harm])  # fmt: skip


def result_cases() -> Iterator[Case]:
    for reader, name, harm in product(READERS, HARMED, ("missing", "from another", "empty", "flipped")):
        if (name, harm) == ("result.json", "from another"):
            continue  # that is another result
        yield Case("a result", f"{name} {harm}", reader, harmed(reader, harm, name), Expected(FAILS, 0, 0, name))
    foreign = product(("members.parquet", "campaigns.parquet"), ("another table", "only nulls"))
    for (name, kind), reader in product((*foreign, ("scan.json", "wrong types"), ("scan.json", "nested")), READERS):
        fails = WORKS if name == "scan.json" and reader in ("campaigns", "show", "why", "evaluate") else FAILS
        yield Case("a result", f"{name}, {kind}", reader, resealed(reader, name, kind), Expected(fails))
    for reader in READERS:
        for harm in ("missing", "wrong types"):
            yield Case("a result", f"scan.json {harm}", reader, harmed(reader, harm, "scan.json"), Expected(FAILS))


def state(command: str, harm: str, name: str) -> Callable[[Path, Path], Words]:
    def make(folder: Path, shared: Path) -> Words:
        place = Path(shutil.copytree(shared / "state", folder / "state"))
        part = sorted((place / "parts").glob("*exchanges*"))[0]
        spoil(part if name == "a part" else place / name, harm, shared / "two-result" / "members.parquet")
        key = ("--key", shared / "key")
        return {
            "verify": ("state", "verify", place, *key, "--quiet"),
            "show": ("state", "show", place, *key),
            "detect": ("detect", "--state", place, "--out", folder / "out", "--days", 90, "--quiet", *key),
            "ingest": ("ingest", shared / "log.ndjson", "--state", place, "--quiet", *key),
        }[command]

    return make


def state_cases() -> Iterator[Case]:
    for command, harm in product(
        ("verify", "show", "detect", "ingest"), ("missing", "empty", "cut", "flipped", "nested", "wrong types")
    ):
        yield Case("a state", f"state.json {harm}", command, state(command, harm, "state.json"), Expected(FAILS))
    for command, harm in product(("verify", "detect"), ("missing", "empty", "cut", "flipped", "from another")):
        exits = frozenset({3}) if command == "verify" else FAILS
        yield Case("a state", f"a part {harm}", command, state(command, harm, "a part"), Expected(exits))


# ---- names -----------------------------------------------------------------------------------------------------------

NAMES = {
    "an escape": "a\x1b[2Jb",
    "C1 characters": "a\x9b31mb",
    "a turn of direction": "a\u202eb",
    "a line break": "a\nError: b",
    "no UTF-8": "a\udcff",
    "markup": "<script>alert(1)<",
    "a long name": "n" * 200,
    "a name that no file has": "n" * 300,
}


def named(kind: str, role: str) -> Callable[[Path, Path], Words]:
    def make(folder: Path, shared: Path) -> Words:
        path = folder / NAMES[kind]
        log, key = shared / "log.ndjson", ("--key", shared / "key", "--quiet", "--threads", 1)
        if role == "log":
            shutil.copy(log, path)
            return "doctor", path
        if role == "columnar log":
            columns = {n: [good(i)[n] for i in range(ROWS)] for n in ("exchange_id", "ts", "account_id")}
            with path.open("wb") as file:
                pq.write_table(pa.table(columns), file)
            return "doctor", path
        if role == "result":
            return "campaigns", path
        words: dict[str, Words] = {
            "missing log": ("doctor", path),
            "accounts": ("doctor", log, "--accounts", path),
            "map": ("doctor", log, "--map", path),
            "state": ("state", "show", path, "--key", shared / "key"),
            "answers": ("scan", log, "--answers", path, "--out", folder / "out", *key),
            "calibration": ("scan", log, "--calibration", path, "--out", folder / "out", *key),
            "ingest": ("ingest", path, "--state", folder / "state", *key),
            "out": ("scan", log, "--out", path, *key),
            "state to be": ("ingest", log, "--state", path, *key),
            "evaluate": ("evaluate", shared / "one-result", path),
            "ledger": ("audit", "init", path),
            "account": ("why", NAMES[kind], "--scan", shared / "one-result"),
            "group": ("show", NAMES[kind], "--scan", shared / "one-result"),
        }
        return words[role]

    return make


def name_cases() -> Iterator[Case]:
    works = ("log", "columnar log", "account")
    roles = (*works, "result", "missing log", "accounts", "map", "state", "answers", "calibration", "ingest", "group")
    for kind, role in product(NAMES, (*roles, "out", "state to be", "evaluate", "ledger")):
        if (
            (len(NAMES[kind]) > 255)
            if role in ("log", "columnar log")
            else (len(NAMES[kind]) <= 255 and role not in roles)
        ):
            continue  # no file can be called so; or any other name works
        yield Case("a name", role, kind, named(kind, role), Expected(WORKS if role in works else FAILS))


# ---- types of columns ------------------------------------------------------------------------------------------------


def typed(column: str, kind: str) -> Callable[[Path, Path], Words]:
    def make(folder: Path, shared: Path) -> Words:
        columns: dict[str, Any] = {n: [good(i)[n] for i in range(ROWS)] for n in ("exchange_id", "ts", "account_id")}
        columns[column] = {
            "lists": [[1]] * ROWS,
            "structs": [{"a": 1}] * ROWS,
            "bytes": [b"\xff\xfe"] * ROWS,
            "decimals": pa.array([10**30] * ROWS, pa.decimal128(38)),
            "nulls": pa.nulls(ROWS),
            "truths": [True] * ROWS,
            "dates": pa.array([2**31 - 1] * ROWS, pa.date32()),
        }[kind]
        pq.write_table(pa.table(columns), folder / "log.parquet")
        return "doctor", folder / "log.parquet", "--json"

    return make


def type_cases() -> Iterator[Case]:
    columns = ("exchange_id", "ts", "account_id", "sketch", "client_ip", "status", "messages", "stream")
    for column, kind in product(columns, ("lists", "structs", "bytes", "decimals", "nulls", "truths", "dates")):
        yield Case("a type", f"parquet, {column}", "doctor", typed(column, kind), Expected(EITHER))


def _every() -> Iterator[Case]:
    for family in (row_cases, bomb_cases, side_cases, setting_cases, result_cases, state_cases, name_cases, type_cases):
        yield from family()
    yield from audits.cases()


CASES = {f"{number:03} {one.family}, {one.form}, {one.command}": one for number, one in enumerate(_every())}
