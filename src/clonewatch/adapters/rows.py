"""Decodes JSON rows one by one, and rejects invalid ones with the reason."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import BinaryIO, Generic, NamedTuple, TypeVar, cast

import msgspec

from clonewatch.adapters import lines
from clonewatch.adapters.streams import head_of, limits_of
from clonewatch.adapters.wrappings import wrapping
from clonewatch.model.read_results import Rejected

Row = TypeVar("Row")
_TORN = "the line is cut off at the end of the file"
# Escaped backslashes and complete pairs are skipped; a lone half is group 1.
_SURROGATES = re.compile(
    rb"(?:\\\\|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(\\u[dD][89a-fA-F][0-9a-fA-F]{2}))"
)
# As Python and JavaScript write them; an exponent of three digits is at or beyond the limit of a float.
_NO_NUMBERS = re.compile(rb"(?<=[:\[,])(\s*)(?:NaN|-?Infinity|-?\d+(?:\.\d+)?[eE]\+?\d{3,})(?=\s*[,}\]])")
_FIELD = re.compile(r"\$[\w.\[\]]*")
_HEX = re.compile(rb"(?:\\x[0-9A-Fa-f]{2})+")
_AROUND = b"\0, \t\r"
_DOUBLED, _BACKSLASH = rb"\\", b"\\"
# Rows examined for the warning about unknown keys; a sample, as examining all would double the work.
SAMPLED_ROWS = 200


class Rows(NamedTuple, Generic[Row]):
    """Decoded rows, their numbers, the lines they came from, and the lines that were invalid."""

    rows: list[Row]
    numbers: list[int]
    lines: list[bytes]
    rejected: list[Rejected]


def rows(stream: BinaryIO, file: str, decode: Callable[[bytes], Row], kept: str = "") -> Iterator[Rows[Row]]:
    """Decode every line or document of a stream with `decode`, which raises msgspec errors for invalid lines.

    kept: a list in an object around the rows that stays a value of its row, because a field map unpacks it.
    """
    for batch in wrapping(head_of(stream), kept).cut(stream):
        rejected = [Rejected(file, n, limits_of(stream).too_long) for n in batch.oversized]
        try:
            yield Rows([decode(line) for line in batch.lines], batch.numbers, batch.lines, rejected)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            yield _careful(batch, file, decode, rejected)


def _careful(batch: lines.Lines, file: str, decode: Callable[[bytes], Row], rejected: list[Rejected]) -> Rows[Row]:
    kept = Rows[Row]([], [], [], rejected)
    last = batch.numbers[-1]
    for number, line in zip(batch.numbers, batch.lines, strict=True):
        row, taken, error = _tried(line, decode)
        if error is None:
            kept.rows.append(cast(Row, row))
            kept.numbers.append(number)
            kept.lines.append(taken)
        elif line.strip():
            torn = batch.torn and number == last and not isinstance(error, msgspec.ValidationError)
            rejected.append(Rejected(file, number, _TORN if torn else reason(error)))
    return kept


def _tried(line: bytes, decode: Callable[[bytes], Row]) -> tuple[Row | None, bytes, Exception | None]:
    r"""The row, or the error; a line with only invalid text is fixed and tried once more.

    PostgreSQL's COPY as text doubles every backslash, so a line that is no JSON otherwise is read without them. A log
    that was cut while its program held it open begins with zeros, a line out of an array ends in a comma, and access
    logs write quotes as \x22.
    """
    failed: Exception
    try:
        return decode(line), line, None
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        failed = error
    fixed = fix(line).strip(_AROUND)
    for attempt in (fixed, fixed.replace(_DOUBLED, _BACKSLASH), _HEX.sub(_from_hex, fixed)):
        if attempt != line:
            try:
                return decode(attempt), attempt, None
            except (msgspec.MsgspecError, ValueError, RecursionError) as error:
                failed = error if attempt is fixed else failed
    return None, line, failed


def _from_hex(found: re.Match[bytes]) -> bytes:
    """Bytes that nginx wrote in hexadecimal, as it does without `escape=json`, as JSON."""
    text = bytes.fromhex(found[0].replace(rb"\x", b"").decode()).decode("utf-8", "replace")
    return msgspec.json.encode(text)[1:-1]


def fix(line: bytes) -> bytes:
    r"""Fix what JSON does not allow in a line: text that is not UTF-8, halves of surrogate pairs, special numbers.

    Invalid text becomes U+FFFD; NaN, infinities and numbers too large for a float become null. Clients choose their
    prompts, user agents and parameters: if these could reject the row, they would be a way to hide it.

    >>> fix(b'"a\\ud800b"')
    b'"a\\ufffdb"'
    """
    sound = line.decode("utf-8", "replace").encode()
    whole = _SURROGATES.sub(lambda m: m[0] if m[1] is None else rb"\ufffd", sound)
    return _NO_NUMBERS.sub(rb"\1null", whole)


def reason(error: Exception) -> str:
    """Why a line was rejected, in words that never quote the line.

    >>> reason(RecursionError("..."))
    'JSON nested too deeply'
    """
    if isinstance(error, msgspec.ValidationError):
        what, _, where = str(error).partition(" - at `")
        field = where.rstrip("`").removeprefix("$.") if _FIELD.fullmatch(where.rstrip("`")) else ""
        expected = re.fullmatch(r"Expected `[\w |]+`(?:, got `\w+`| [<>]= -?\d+)?", what)
        fault = what[0].lower() + what[1:] if expected else "not the expected kind of value"
        return f"{field}: {fault}" if field else fault
    if isinstance(error, RecursionError):
        return "JSON nested too deeply"
    if isinstance(error, UnicodeDecodeError):
        return "not UTF-8"
    if isinstance(error, msgspec.DecodeError):
        return "not JSON"
    return "not readable"


def unknown_keys(raw: list[bytes], known: frozenset[str]) -> list[str]:
    """Top-level keys among the first rows that are not known, sorted."""
    decoder = msgspec.json.Decoder(dict[str, msgspec.Raw])
    found: set[str] = set()
    for line in raw[:SAMPLED_ROWS]:
        try:
            found |= decoder.decode(line).keys()
        except (msgspec.MsgspecError, ValueError, RecursionError):
            continue  # rejected by its reader, with the reason
    return sorted(found - known)
