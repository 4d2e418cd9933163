"""Everything a fingerprint says about a prompt, in one compiled pass a row."""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from clonewatch.kernels import tokens as tk
from clonewatch.kernels.buffers import Text
from clonewatch.kernels.compiling import compiled
from clonewatch.kernels.folding import IGNORED, SIZE, fold_table
from clonewatch.kernels.hashing import hash_numbers, siphash, siphash_words, stir
from clonewatch.kernels.json_text import write_point
from clonewatch.kernels.scoring import OUTPUTS, add_scores, pair
from clonewatch.kernels.sketching import SketchKey, encipher, minhash
from clonewatch.kernels.slots import place_of, point_at
from clonewatch.model.schema import SKETCH_SIZE

U64 = npt.NDArray[np.uint64]
Bytes = npt.NDArray[np.uint8]

CELLS = 4096
# Which words share a topic cell is drawn by this public number and is the same under every key: cells decide what
# counts as the same topic. Another number would draw another partition.
_PARTITION = np.uint64(0x7075626C69633A63)  # "public:c"
# A skeleton says something from four words on; two ideographs count as one word.
MIN_SKELETON = 8  # in half words
# Names are dropped as slots unless they are this share of all words: then it is a title, German, or shouting.
NAMES_ARE_WORDS = 0.4
ROLE_BITS = 16
FUNCTION, FORMAL = 1, 2
_CELL_TOKENS = 256
_BLOCK = 64  # bytes folded at a time: see `json_text`


class Keys(NamedTuple):
    """Two 64-bit words a purpose, the names of the topic cells, and the key of the sketch."""

    template: U64
    prompt: U64
    form: U64
    cells: npt.NDArray[np.int32]
    sketch: SketchKey


class Lexicon(NamedTuple):
    """What is known of words beforehand.

    roles: uint8[2**16], by the top bits of a stirred token: FUNCTION words carry no topic, FORMAL words may stand in
    one of the next two lists. phrases: sorted uint64, the hashes of word pairs that demand a form of answer.
    demands_json: sorted uint64, words that make JSON keys a demand. weights, scales: of the classifier,
    as `scoring.add_scores` takes them; a power of two of rows after those of the facts.
    """

    roles: npt.NDArray[np.uint8]
    phrases: U64
    demands_json: U64
    weights: U64
    scales: npt.NDArray[np.float32]


class Reading(NamedTuple):
    """How a kind of text is read.

    head_bytes: the skeleton is read from the first bytes only. head_words: and of these from the first words that are
    no slots, so that a longer slot does not push other words out. drop: marks of the words that are slots.
    keep_below: a text of fewer words keeps all of them.
    """

    head_bytes: int
    head_words: int
    drop: int
    keep_below: int


# What follows the head of a long prompt is pasted material.
USER = Reading(8192, 1000, tk.LISTED | tk.NAME, 0)
# A system prompt is known by how it begins, about 2,000 characters: dates, users and passages come later. A short one
# lives by its names ("You are ..."), a long one is recognised without them, and then the customer's name does not
# matter.
SYSTEM = Reading(4096, 300, tk.NAME, 60)


class Prompts(NamedTuple):
    """Fingerprints of N texts; 0 stands for none in the hashes, -1 in `cell`.

    sketch: uint32[N, 64], zeros where `template` is 0. scores: float32[N, OUTPUTS], the classifier's sums; NaN where
    the row has no word.
    """

    template: U64
    prompt: U64
    form: U64
    sketch: npt.NDArray[np.uint32]
    cell: npt.NDArray[np.int32]
    scores: npt.NDArray[np.float32]


def read_prompts(text: Text, keys: Keys, lexicon: Lexicon, reading: Reading = USER) -> Prompts:
    """Fingerprint N prompts."""
    rows = len(text.valid)
    out = Prompts(
        np.zeros(rows, np.uint64),
        np.zeros(rows, np.uint64),
        np.zeros(rows, np.uint64),
        np.zeros((rows, SKETCH_SIZE), np.uint32),
        np.full(rows, -1, np.int32),
        np.full((rows, OUTPUTS), np.nan, np.float32),
    )
    _read_rows(text, fold_table(), keys, lexicon, reading, out)
    return out


def cell_names(key: bytes) -> npt.NDArray[np.int32]:
    """The name of each topic cell, int32[CELLS]: the cells in an order that a 16-byte key draws.

    Who knows the words of a cell does not find it in a table without the key.
    """
    return np.argsort(hash_numbers(CELLS, key), kind="stable").astype(np.int32)


@compiled(nogil=True)
def _read_rows(
    text: Text, fold: npt.NDArray[np.uint32], keys: Keys, lexicon: Lexicon, reading: Reading, out: Prompts
) -> None:
    data, offsets, sketch_of = text.data, text.offsets, keys.sketch
    tokens, stems = np.empty(tk.MAX_TOKENS, np.uint64), np.empty(tk.MAX_TOKENS, np.uint64)
    marks, forms = np.empty(tk.MAX_TOKENS, np.uint8), np.empty(2 * tk.MAX_MARKS, np.uint64)
    counts, kept = np.empty(tk.COUNTS, np.int64), np.empty(tk.MAX_TOKENS, np.uint64)
    widest = 0
    for row in range(len(text.valid)):
        widest = max(widest, offsets[row + 1] - offsets[row])
    scratch = np.empty(widest + _BLOCK, np.uint8)
    for row in range(len(text.valid)):
        if not text.valid[row]:
            continue
        start, end = offsets[row], offsets[row + 1]
        size = plain_text(data, start, end, fold, scratch)
        if size == 0:
            continue
        out.prompt[row] = max(siphash(scratch, 0, size, keys.prompt[0], keys.prompt[1]), np.uint64(1))
        for k in range(len(forms)):  # not a slice: setting one compiles six times as long
            forms[k] = 0
        head = min(end, start + reading.head_bytes)
        n = tk.tokenise(data, start, head, fold, tokens, stems, marks, forms, counts)
        out.form[row] = demanded_form(
            tokens, n, forms, lexicon.roles, lexicon.phrases, lexicon.demands_json, kept, keys.form[0], keys.form[1]
        )
        add_scores(tokens, stems, n, counts, lexicon.weights, lexicon.scales, out.scores[row])
        topic = topic_cell(tokens, stems, marks, n, lexicon.roles)
        out.cell[row] = keys.cells[topic] if topic >= 0 else -1
        m = skeleton(tokens, marks, n, reading.drop if n >= reading.keep_below else 0, kept)
        m = min(m, reading.head_words)
        if m > 0:
            out.template[row] = max(siphash_words(kept, m, keys.template[0], keys.template[1]), np.uint64(1))
            minhash(kept, m, sketch_of.factors, sketch_of.addends, out.sketch[row])
            encipher(out.sketch[row], sketch_of.rounds, sketch_of.before, sketch_of.after)


@compiled()
def plain_text(data: Bytes, start: int, end: int, fold: npt.NDArray[np.uint32], out: Bytes) -> int:
    """Write the text folded and with single spaces to `out`; returns its length. Never longer than the source."""
    at: Any = np.int64(0)
    i = start
    space = False
    while i < end:
        c: Any = np.int64(data[i])
        if i + _BLOCK < end and c < 0x80 and not ((space or at == 0) and c <= 32):
            plain = _fold_plain(data, i, end, out, at)
            if plain > 0:
                i += plain
                at += plain
                space = data[i - 1] <= 32
                continue
        if c < 0x80:
            blank = c <= 32
            out[at] = 32 if blank else c + 32 if 65 <= c <= 90 else c
            at += 0 if blank and (space or at == 0) else 1
            space = bool(blank)
            i += 1
            continue
        code: Any
        code, size = point_at(data, i, end)
        i += size
        if code < SIZE:
            entry = np.int64(fold[code])
            kind = entry >> 24
            if kind == IGNORED:
                continue
            if code == 0x20 or code == 0xA0 or code == 0x3000:
                if not space and at > 0:
                    out[at] = 32
                    at += 1
                space = True
                continue
            if kind == 1 or kind == 2:
                code = entry & 0xFFFFFF
        space = False
        at = write_point(out, at, code)
    return int(at - 1 if space and at > 0 else at)


@compiled()
def _fold_plain(data: Bytes, start: int, end: int, out: Bytes, at: int) -> int:
    """Fold block after block, as far as whole ones go, up to what is no ASCII or the first of two blanks; how far."""
    first = np.uint64(start)
    i, o = first, np.uint64(at)
    while i + np.uint64(_BLOCK) < np.uint64(end):
        _fold_block(data, i, out, o)
        plain = _plain_in_block(data, i)
        if plain < _BLOCK:
            i += np.uint64(plain)
            break
        i += np.uint64(_BLOCK)
        o += np.uint64(_BLOCK)
    length: Any = np.int64(i - first)
    return int(length)


@compiled()
def _plain_in_block(data: Bytes, i: np.uint64) -> int:
    """How much of a block, and the byte after it, comes before what is no ASCII and before two blanks in a row."""
    rest = np.uint8(0)
    for j in range(_BLOCK):
        c, following = data[i + np.uint64(j)], data[i + np.uint64(j + 1)]
        odd = np.uint8(c >= np.uint8(0x80)) | np.uint8(np.uint8(max(c, following)) <= np.uint8(32))
        rest = np.uint8(max(rest, np.uint8(_BLOCK - j) if odd else np.uint8(0)))
    return _BLOCK - int(rest)


@compiled()
def _fold_block(data: Bytes, i: np.uint64, out: Bytes, o: np.uint64) -> None:
    """Write a block of plain ASCII in lower case, with a space for every blank."""
    for j in range(_BLOCK):
        c = data[i + np.uint64(j)]
        upper = np.uint8(c - np.uint8(65)) <= np.uint8(25)
        lower = np.uint8(c | np.uint8(32)) if upper else c
        out[o + np.uint64(j)] = np.uint8(max(lower, np.uint8(32)))


@compiled()
def skeleton(tokens: U64, marks: npt.NDArray[np.uint8], n: int, drop: int, kept: U64) -> int:
    """Write the words that are no slots to `kept`; returns how many, 0 when they say nothing."""
    names = 0
    for i in range(n):
        names += 1 if marks[i] & tk.NAME else 0
    if names > NAMES_ARE_WORDS * n:
        drop &= ~tk.NAME
    for _ in range(2):
        m, halves = 0, 0
        for i in range(n):
            if not marks[i] & drop:
                kept[m] = tokens[i]
                m += 1
                halves += 1 if marks[i] & tk.IDEOGRAPH else 2
        if halves >= MIN_SKELETON:
            return m
        drop = 0  # nothing but lists and names: then they are the text
    return 0


@compiled()
def topic_cell(tokens: U64, stems: U64, marks: npt.NDArray[np.uint8], n: int, roles: npt.NDArray[np.uint8]) -> int:
    """A topic cell: the public hash of one content word, drawn so that equal words draw equally.

    Consistent weighted sampling: each word has a fixed random number, divided by a weight that grows with its length,
    and the smallest wins; texts that share their telling words mostly share the winner. -1 when there is no content
    word.
    """
    best, winner = np.inf, np.uint64(0)
    for i in range(min(n, _CELL_TOKENS)):
        if marks[i] & tk.IDEOGRAPH:
            if i + 1 >= n or not marks[i + 1] & tk.IDEOGRAPH:
                continue
            word, weight, said = stems[i] * np.uint64(31) + stems[i + 1], 8.0, True
        else:
            length = stems[i] & np.uint64(15)
            word, weight, said = stems[i] & ~np.uint64(15), float(max(length, np.uint64(1))), length >= np.uint64(3)
        h = stir(word ^ _PARTITION)
        score = float(h >> np.uint64(11)) / (weight * weight * weight)
        if not said or score >= best:  # seldom otherwise: what is dearer to look up comes last
            continue
        if not (marks[i] & tk.TAG or roles[stir(tokens[i]) >> np.uint64(64 - ROLE_BITS)] & FUNCTION):
            best, winner = score, h
    if best == np.inf:
        return -1
    cell: Any = np.int64(stir(winner + np.uint64(1)) & np.uint64(CELLS - 1))
    return int(cell)


@compiled()
def _sort(values: U64, first: int, last: int) -> None:
    """Sort `values[first:last]` where they stand, by insertion: they are at most MAX_MARKS."""
    for i in range(first + 1, last):
        value, j = values[i], i
        while j > first and values[j - 1] > value:
            values[j] = values[j - 1]
            j -= 1
        values[j] = value


@compiled()
def demanded_form(
    tokens: U64,
    n: int,
    forms: U64,
    roles: npt.NDArray[np.uint8],
    phrases: U64,
    demands_json: U64,
    scratch: U64,
    k0: np.uint64,
    k1: np.uint64,
) -> np.uint64:
    """Keyed hash of the output tags, JSON keys and set phrases that a prompt demands; 0 when it demands none."""
    bits = np.uint64(0)
    wants_json = 0
    for i in range(n):
        if not roles[stir(tokens[i]) >> np.uint64(64 - ROLE_BITS)] & FORMAL:
            continue
        known = place_of(demands_json, tokens[i])
        if known >= 0:
            wants_json |= 1 << known
        if i + 1 < n:
            phrase = place_of(phrases, pair(tokens[i], tokens[i + 1]))
            if phrase >= 0:
                bits |= np.uint64(1) << np.uint64(phrase)
    m: Any = np.int64(0)
    for kind in range(2):
        if kind == 1 and wants_json == 0:
            break
        first = m
        for k in range(kind * tk.MAX_MARKS, (kind + 1) * tk.MAX_MARKS):
            if forms[k] == np.uint64(0):
                break
            scratch[m] = forms[k]
            m += 1
        _sort(scratch, first, m)
        if m > first:
            scratch[m] = np.uint64(kind + 1)
            m += 1
    if m == 0:
        if bits == np.uint64(0):
            return np.uint64(0)
        scratch[0] = bits
        m = 1
    return max(siphash_words(scratch, m, k0, k1), np.uint64(1))
