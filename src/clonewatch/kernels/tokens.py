"""Splits a prompt into words, and marks those that belong to its skeleton.

One pass over the bytes. Slots are removed: words with digits, addresses, paths, identifiers, code, quoted text, text in
braces or brackets, and the content of XML-like data tags. Capitalised words in mid-sentence (names) and the words of
list items are kept but marked, for the caller to drop. A character of a script without spaces counts as a word.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from clonewatch.kernels.compiling import compiled
from clonewatch.kernels.folding import DIGIT, IGNORED, SEPARATOR, SINGLE, SIZE, STOP, UPPER
from clonewatch.kernels.slots import (
    BRACE_BYTES,
    OFFSET,
    PRIME,
    QUOTE_BYTES,
    after_chunk,
    find_apostrophe,
    find_brace,
    find_bracket,
    find_closing,
    find_quote,
    find_ticks,
    hash_bytes,
    holds_instructions,
    is_blank,
    is_code_angle,
    is_markup,
    letter_follows,
    point_at,
    tag_at,
)

Bytes = npt.NDArray[np.uint8]

MAX_TOKENS = 2048
MAX_MARKS = 32
_AHEAD = 8  # letters of a word that are hashed at once
STEM = 6  # letters that represent a word and its inflections
# Marks on a token.
NAME, LISTED, IDEOGRAPH, TAG = 1, 2, 4, 8
# Other counts, by index in `counts`.
FENCES, QUESTIONS, QUOTES, ITEMS, NUMBERS, BRACES, TAGS, KEYS, SINGLES, WORDS, LINES, PATHS, COUNTS = range(13)

_SEARCH_BYTES = 65536  # bytes per prompt in which closing tags, quotes and braces are searched: linear cost


@compiled()
def tokenise(
    data: Bytes,
    start: int,
    end: int,
    fold: npt.NDArray[np.uint32],
    tokens: npt.NDArray[np.uint64],
    stems: npt.NDArray[np.uint64],
    marks: npt.NDArray[np.uint8],
    forms: npt.NDArray[np.uint64],
    counts: npt.NDArray[np.int64],
) -> int:
    """Fill `tokens` (FNV-1a of the folded word), `stems`, `marks`, `forms` and `counts`.

    stems: the hash of the first STEM letters, the length of the word in its lowest four bits. forms: demanded tags,
    then JSON keys. tokens, stems, marks: MAX_TOKENS long. forms: 2 * MAX_MARKS. counts: COUNTS. Returns the number of
    tokens; compiled.
    """
    for k in range(COUNTS):
        counts[k] = 0
    # A literal has its own type: kernels called with a literal and with a number would be compiled twice.
    zero: Any = np.int64(0)
    yes: Any = np.bool_(True)
    n, i = zero, start
    budget = zero + _SEARCH_BYTES
    stem = OFFSET
    # shape: 1 starts with a capital, 2 has a digit or underscore, 4 has an inner capital
    word, length, shape = OFFSET, zero, zero
    sentence_start, line_start, listed = yes, yes, not yes
    chunk_first, slashes = 0, 0  # tokens before this run of non-space ASCII, slashes in it
    while i < end and n < MAX_TOKENS - 1:
        c: Any = np.int64(data[i])
        size = 1
        if 97 <= c <= 122:  # most bytes of most prompts: no table, no branches
            if length == 0 and i + _AHEAD < end:
                # The length of a word is unknown, so all of these steps are taken, and those beyond its end undone.
                alive = np.uint64(0xFFFFFFFFFFFFFFFF)
                at = np.uint64(i)
                for j in range(_AHEAD):
                    letter = np.uint64(data[at + np.uint64(j)])
                    alive &= np.uint64(0) - np.uint64(letter - np.uint64(97) <= np.uint64(25))
                    word ^= (word ^ ((word ^ letter) * PRIME)) & alive
                    length += int(alive & np.uint64(1))
                    if j == STEM - 1:
                        stem = word
                i += length
                c = np.int64(data[i])
            while 97 <= c <= 122:
                word = (word ^ np.uint64(c)) * PRIME
                length += 1
                if length == STEM:
                    stem = word
                i += 1
                if i == end:
                    break
                c = np.int64(data[i])
            if c == 32 and shape <= 1:  # most words end here: the steps below, without the impossible cases
                stems[n] = ((stem if length >= STEM else word) & ~np.uint64(15)) | np.uint64(min(length, 15))
                name = shape == 1 and not sentence_start and length > 1
                tokens[n], marks[n] = word, (LISTED if listed else 0) | (NAME if name else 0)
                n, i = n + 1, i + 1
                word, length, shape = OFFSET, 0, 0
                sentence_start = line_start = False
                chunk_first, slashes = n, 0
            continue
        if c >= 0x80:
            c, size = point_at(data, i, end)
        if c < SIZE:
            entry: Any = fold[c]
            kind: Any = np.int64(entry >> np.uint32(24))
        elif c < 0x20000:
            entry, kind = np.uint32(0), SEPARATOR
        else:
            entry, kind = np.uint32(c), SINGLE
        if 1 <= kind <= DIGIT or c == 95:
            if kind == UPPER:
                shape |= 1 if length == 0 else 4
            elif kind == DIGIT or c == 95:
                shape |= 2
            word = (word ^ np.uint64(entry & np.uint32(0xFFFFFF))) * PRIME
            length += 1
            if length == STEM:
                stem = word
            i += size
            continue
        if kind == IGNORED or ((c == 39 or c == 0x2019) and length > 0 and letter_follows(data, i + size, end, fold)):
            i += size
            continue
        if length > 0:
            # The end of a word.
            stems[n] = ((stem if length >= STEM else word) & ~np.uint64(15)) | np.uint64(min(length, 15))
            n, number = _emit(tokens, marks, n, word, length, shape, sentence_start, listed)
            counts[NUMBERS] += number
            line_item = line_start and number == 1 and n == chunk_first and (c == 46 or c == 41)
            if line_item and i + 1 < end and data[i + 1] == 32:
                listed = True
                counts[ITEMS] += 1
            else:
                sentence_start = False
            line_start = False
            dotted = c == 46 and length >= 2 and i + 1 < end and letter_follows(data, i + 1, end, fold)
            word, length, shape = OFFSET, 0, 0
            if dotted:  # a file, host or attribute
                counts[PATHS] += 1
                n, i = chunk_first, after_chunk(data, i, end)
                continue
        if kind == SINGLE:
            word = (OFFSET ^ np.uint64(entry & np.uint32(0xFFFFFF))) * PRIME
            tokens[n], stems[n], marks[n] = word, word & ~np.uint64(15), IDEOGRAPH | (LISTED if listed else 0)
            n += 1
            word = OFFSET
            counts[SINGLES] += 1
            sentence_start = line_start = False
            i += size
            chunk_first, slashes = n, 0
            continue
        i += size
        if c == 32 or size > 1 or c == 9:
            chunk_first, slashes = n, 0
        if c == 32:
            continue
        if kind == STOP:
            sentence_start = True
            if c == 10:
                line_start, listed = True, False
                counts[LINES] += 1
                chunk_first, slashes = n, 0
            elif c == 63 or c == 0xFF1F:
                counts[QUESTIONS] += 1
            elif c == 58 and i + 1 < end and data[i] == 47 and data[i + 1] == 47:  # ://
                counts[PATHS] += 1
                n, i = chunk_first, after_chunk(data, i, end)
            continue
        if c == 96:  # `
            fence = i + 1 < end and data[i] == 96 and data[i + 1] == 96
            counts[FENCES] += 1 if fence else 0
            close = find_ticks(data, i + 2 if fence else i, end, fence)
            if fence:
                _collect_keys(data, i, close, forms, counts)
            i = close
            sentence_start = True
        elif c == 34 or c == 0x201C or c == 0xAB or c == 0x300C or c == 0x300E or c == 0x300A:
            close = find_quote(data, i, end, c) if budget > 0 else i
            budget -= close - i if close > i else min(end - i, QUOTE_BYTES)
            if close > i:
                counts[QUOTES] += 1
                _key(data, i, close, end, forms, counts, c == 34)
                i = close
        elif c == 39:
            close = find_apostrophe(data, i, end)
            if close > i:
                counts[QUOTES] += 1
                i = close
        elif c == 123:  # {
            close = find_brace(data, i, end) if budget > 0 else i
            budget -= close - i if close > i else min(end - i, BRACE_BYTES)
            if close > i:
                counts[BRACES] += 1
                _collect_keys(data, i, close, forms, counts)
                n, i = chunk_first, close
        elif c == 91:  # [
            close = find_bracket(data, i, end)
            if close > i:
                i = close
        elif c == 60:  # <
            name_end, tag_end = (i, i) if is_code_angle(data, start, i) else tag_at(data, i, end)
            if tag_end > i:
                closing = data[i] == 47
                token = hash_bytes(data, i + 1 if closing else i, name_end)
                if not closing:
                    counts[TAGS] += 1
                    tokens[n], stems[n], marks[n] = token, np.uint64(0), TAG
                    n += 1
                    content_end, after, looked = find_closing(data, tag_end, end, i, name_end, budget)
                    budget -= looked
                    if (after < 0 or is_blank(data, tag_end, content_end)) and not is_markup(token):
                        _add_form(forms, zero, token)
                    if after >= 0 and not holds_instructions(data, i, name_end):
                        tag_end = after
                i = tag_end
                sentence_start = True
                chunk_first, slashes = n, 0
        elif c == 47:  # /
            slashes += 1
            if slashes > 1 or (n == chunk_first and i < end and letter_follows(data, i, end, fold)):
                counts[PATHS] += 1
                n, i = chunk_first, after_chunk(data, i, end)
        elif c == 64 or c == 92 or c == 61 or c == 94:  # @ \ = ^
            counts[PATHS] += 1
            n, i = chunk_first, after_chunk(data, i, end)
        elif (c == 45 or c == 42 or c == 0x2022) and line_start and i < end and data[i] == 32:  # - * •
            listed = True
            counts[ITEMS] += 1
            sentence_start = True
    if length > 0 and n < MAX_TOKENS - 1:
        stems[n] = ((stem if length >= STEM else word) & ~np.uint64(15)) | np.uint64(min(length, 15))
        n, number = _emit(tokens, marks, n, word, length, shape, sentence_start, listed)
        counts[NUMBERS] += number
    counts[WORDS] = n - counts[SINGLES]
    return int(n)


@compiled()
def _emit(
    tokens: npt.NDArray[np.uint64],
    marks: npt.NDArray[np.uint8],
    n: int,
    word: np.uint64,
    length: int,
    shape: int,
    sentence_start: bool,
    listed: bool,
) -> tuple[int, int]:
    if shape & 2:
        return n, 1
    mark = LISTED if listed else 0
    if shape & 4 or (shape & 1 and not sentence_start and length > 1):
        mark |= NAME
    tokens[n], marks[n] = word, mark
    return n + 1, 0


@compiled()
def _add_form(forms: npt.NDArray[np.uint64], kind: int, token: np.uint64) -> bool:
    """Add a value to one of the two small sets; a full set is unchanged. An empty slot is 0."""
    for k in range(kind * MAX_MARKS, (kind + 1) * MAX_MARKS):
        if forms[k] == token:
            return False
        if forms[k] == np.uint64(0):
            forms[k] = token
            return True
    return False


@compiled()
def _key(
    data: Bytes,
    start: int,
    close: int,
    end: int,
    forms: npt.NDArray[np.uint64],
    counts: npt.NDArray[np.int64],
    straight: bool,
) -> None:
    """Note `"name":` as a JSON key."""
    j = close
    while j < end and data[j] == 32:
        j += 1
    if straight and j < end and data[j] == 58 and 1 < close - start <= 41:
        for k in range(start, close - 1):
            if data[k] == 32:
                return
        counts[KEYS] += 1
        kind: Any = np.int64(1)
        _add_form(forms, kind, hash_bytes(data, start, close - 1))


@compiled()
def _collect_keys(data: Bytes, i: int, end: int, forms: npt.NDArray[np.uint64], counts: npt.NDArray[np.int64]) -> None:
    mark: Any = np.int64(34)
    straight: Any = np.bool_(True)
    while i < end:
        if data[i] == 34:
            close = find_quote(data, i + 1, end, mark)
            if close == i + 1:
                return
            _key(data, i + 1, close, end, forms, counts, straight)
            i = close
        else:
            i += 1
