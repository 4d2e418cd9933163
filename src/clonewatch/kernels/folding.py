"""A table of the class and the folded form of every character, so that kernels fold as they read.

Close to Unicode NFKC with case folding and accents removed, one code point at a time: full-width and other
compatibility forms become their plain letters, `É` becomes `e`, zero-width characters vanish. Built once, on first
use, from the Unicode data of the standard library.
"""

import unicodedata
from functools import cache

import numpy as np
import numpy.typing as npt

# Classes, in the top byte of an entry; the folded code point is in the low 24 bits.
SEPARATOR, LOWER, UPPER, DIGIT, SINGLE, IGNORED, STOP = range(7)
SIZE = 0x1F000  # the planes with letters; above are pictographs, then rare ideographs

# Scripts written without spaces: a character, not a word, is the unit.
_SINGLE_RANGES = (
    (0x0E00, 0x0EFF),
    (0x0F00, 0x0FFF),
    (0x1000, 0x109F),
    (0x1780, 0x17FF),  # Thai, Lao, Tibetan, Burmese, Khmer
    (0x3005, 0x3007),
    (0x3041, 0x30FF),
    (0x31F0, 0x31FF),
    (0x3400, 0x4DBF),
    (0x4E00, 0x9FFF),
    (0xF900, 0xFAFF),
    (0x16FF0, 0x18DFF),
    (0x1B000, 0x1B2FF),
)
_STOPS = ".!?:;\n\r。！？：；…؟।"


@cache
def fold_table() -> npt.NDArray[np.uint32]:
    """uint32[SIZE]: class << 24 | folded code point, for every code point below `SIZE`.

    >>> table = fold_table()
    >>> [chr(table[ord(c)] & 0xFFFFFF) for c in "Ｅéß"]
    ['e', 'e', 's']
    """
    table = np.zeros(SIZE, np.uint32)
    for code in range(SIZE):
        char = chr(code)
        category = unicodedata.category(char)
        if category in ("Cn", "Co", "Cs"):
            continue
        table[code] = _entry(code, char, category)
    for low, high in _SINGLE_RANGES:
        for code in range(low, high + 1):
            if unicodedata.category(chr(code))[0] in "LM":
                table[code] = SINGLE << 24 | code
    for char in _STOPS:
        table[ord(char)] = STOP << 24 | ord(char)
    table.flags.writeable = False
    return table


def _entry(code: int, char: str, category: str) -> int:
    if category == "Cf" or 0x300 <= code <= 0x36F:
        return IGNORED << 24
    if category == "Nd":
        return DIGIT << 24 | ord("0")
    if category[0] in "LM":
        hangul = 0xAC00 <= code <= 0xD7A3
        plain = unicodedata.normalize("NFKC" if hangul else "NFKD", char)[0].casefold()[0]
        return (UPPER if category in ("Lu", "Lt") else LOWER) << 24 | ord(plain)
    if category[0] == "N":
        return DIGIT << 24 | ord("0")
    return SEPARATOR << 24 | code
