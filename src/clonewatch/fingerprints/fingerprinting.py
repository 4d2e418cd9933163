"""Replaces the text of exchanges by fingerprints; raw text is dropped here."""

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from clonewatch.fingerprints import classifier
from clonewatch.fingerprints.embedding import Examples
from clonewatch.fingerprints.keys import derive
from clonewatch.kernels.buffers import Text, text_buffers
from clonewatch.kernels.chat import SPANS, Chats, read_chats
from clonewatch.kernels.hashing import key_words, keyed_hash, mix
from clonewatch.kernels.prompts import SYSTEM, Keys, cell_names, read_prompts
from clonewatch.kernels.scoring import OUTPUTS
from clonewatch.kernels.sketching import sketch_column, sketch_key
from clonewatch.model.schema import FINGERPRINT_COLUMNS, TEXT_COLUMNS

U64 = npt.NDArray[np.uint64]

# Rows processed at a time: the decoded text of one slice stays in the processor's cache.
SLICE = 2048
# System prompts and tool schemas repeat: results are cached by raw hash, up to this many of each.
_REMEMBERED = 50_000


class Fingerprinter:
    """Fills the fingerprint columns of exchanges and removes the text.

    key: the provider's 32-byte secret (`keys.load_key`). Every column is keyed separately, so equal texts in different
    columns do not show. Another key gives other values, but preserves equality, similarity and shared cells.
    examples: if given, temporarily keeps a text of each template. Not safe to share between threads; create one per
    thread, their results agree.

    >>> batch = pa.record_batch({"messages": ['[{"role": "user", "content": "Name three rivers of Peru"}]']})
    >>> made = Fingerprinter(bytes(32)).apply(batch)
    >>> "messages" in made.schema.names, made["template_id"].null_count
    (False, 0)
    """

    def __init__(self, key: bytes, examples: Examples | None = None) -> None:
        self._examples = examples
        template, prompt, form = (
            np.array(key_words(derive(key, p)), np.uint64) for p in ("template_id", "prompt_id", "form")
        )
        self.keys = Keys(template, prompt, form, cell_names(derive(key, "cell")), sketch_key(derive(key, "sketch")))
        system = np.array(key_words(derive(key, "system_hash")), np.uint64)
        self._system_keys = self.keys._replace(template=system, prompt=system)
        self._raw_key = derive(key, "raw")
        self._tools_key = derive(key, "tools_hash")
        self._form_key = derive(key, "format_hash")
        self.lexicon = classifier.lexicon()
        self._systems: dict[int, tuple[np.uint64, np.uint64, npt.NDArray[np.float32]]] = {}
        self._schemas: dict[tuple[bytes, int], np.uint64] = {}

    def apply(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """The same rows without text, with the fingerprints that the text allows.

        batch: any columns of `EXCHANGES`. An existing fingerprint is kept; an absent or null one is
        computed from `messages` (shapes: see `kernels.chat`) and `system_text`; what the text does not determine stays
        null. `system_text` takes precedence over a system message. Raises TypeError if a text column is not text.
        """
        names = batch.schema.names
        made: dict[str, pa.Array] = {}
        if any(name in names for name in ("messages", "system_text")):
            parts = [self._slice(batch.slice(at, SLICE)) for at in range(0, max(batch.num_rows, 1), SLICE)]
            made = {n: pa.concat_arrays([part[n] for part in parts]) for n in FINGERPRINT_COLUMNS}
        columns = {n: batch.column(n) for n in names if n not in TEXT_COLUMNS}
        for name, computed in made.items():
            given = columns.get(name)
            if given is None or given.null_count == len(given):
                columns[name] = computed
            elif given.null_count:
                columns[name] = _fill(given, computed)
        return pa.RecordBatch.from_arrays(list(columns.values()), names=list(columns))

    def _slice(self, batch: pa.RecordBatch) -> dict[str, pa.Array]:
        rows = batch.num_rows
        nothing = pa.nulls(rows, pa.string())
        names = batch.schema.names
        messages = text_buffers(batch.column("messages") if "messages" in names else nothing)
        chats = read_chats(messages)
        prompts = read_prompts(chats.user, self.keys, self.lexicon)
        if self._examples is not None:
            self._examples.note(prompts.template, chats.user)
        system, system_form, system_scores = self._system_prompts(batch, chats)
        tools = self._schema_hashes(messages, chats, SPANS.index("tools"), self._tools_key)
        answer = self._schema_hashes(messages, chats, SPANS.index("format"), self._form_key)
        stops = self._schema_hashes(messages, chats, SPANS.index("stop"), self._form_key)
        form = mix(prompts.form, system_form, answer, stops)
        task, elicitation = classifier.decide(prompts.scores, system_scores, tools != 0)
        return {
            "system_hash": _hashes(system),
            "tools_hash": _hashes(tools),
            "template_id": _hashes(prompts.template),
            "prompt_id": _hashes(prompts.prompt),
            "format_hash": _hashes(form),
            "sketch": sketch_column(prompts.sketch, prompts.template != 0),
            "cell": pa.array(prompts.cell, pa.int32(), mask=prompts.cell < 0),
            "task": task,
            "elicitation": elicitation,
        }

    def _system_prompts(self, batch: pa.RecordBatch, chats: Chats) -> tuple[U64, U64, npt.NDArray[np.float32]]:
        """Hash, demanded form and classifier sums of each row's system prompt; each distinct one is read once."""
        system = chats.system
        if "system_text" in batch.schema.names:
            given = batch.column("system_text")
            system = text_buffers(given if not given.null_count else pc.coalesce(_text_array(given), _array(system)))
        raw = keyed_hash(_array(system), self._raw_key)
        distinct, first, place = np.unique(raw, return_index=True, return_inverse=True)
        self._learn_systems(system, distinct, first)
        none = (np.uint64(0), np.uint64(0), np.full(OUTPUTS, np.nan, np.float32))
        known = [self._systems[h] if h else none for h in distinct.tolist()]
        hashes = np.array([k[0] for k in known], np.uint64)
        forms = np.array([k[1] for k in known], np.uint64)
        scores = np.array([k[2] for k in known], np.float32).reshape(len(known), OUTPUTS)
        return hashes[place], forms[place], scores[place]

    def _learn_systems(self, system: Text, distinct: U64, first: npt.NDArray[np.int64]) -> None:
        if len(self._systems) > _REMEMBERED:
            self._systems.clear()
        new = np.array([bool(h) and h not in self._systems for h in distinct.tolist()], np.bool_)
        if not new.any():
            return
        text = text_buffers(_array(system).take(pa.array(first[new])))
        read = read_prompts(text, self._system_keys, self.lexicon, SYSTEM)
        # Too short for a skeleton: then the whole text identifies it.
        hashes = np.where(read.template != 0, read.template, read.prompt)
        for row, raw in enumerate(distinct[new].tolist()):
            self._systems[raw] = (hashes[row], read.form[row], read.scores[row])

    def _schema_hashes(self, messages: Text, chats: Chats, which: int, key: bytes) -> U64:
        """Keyed hash of one JSON field of each request body, independent of key order; 0 if there is none."""
        spans = chats.spans[:, which]
        out = np.zeros(len(spans), np.uint64)
        for row in np.flatnonzero(spans[:, 1] > spans[:, 0]).tolist():
            raw = messages.data[spans[row, 0] : spans[row, 1]].tobytes()
            place = (key, hash(raw))
            if place not in self._schemas:
                if len(self._schemas) > _REMEMBERED:
                    self._schemas.clear()
                canonical = _canonical(raw)
                self._schemas[place] = keyed_hash(pa.array([canonical], pa.binary()), key)[0]
            out[row] = self._schemas[place]
        return out


def _canonical(raw: bytes) -> bytes | None:
    """One notation for equal JSON; truncated JSON counts as it is; null, `[]` and `{}` are no demand."""
    try:
        value = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return raw
    return msgspec.json.encode(value, order="deterministic") if value else None


def _array(text: Text) -> pa.Array:
    valid = pa.array(text.valid)
    values = pa.LargeBinaryArray.from_buffers(
        pa.large_binary(), len(text.valid), [None, pa.py_buffer(text.offsets), pa.py_buffer(text.data)]
    )
    return values if text.valid.all() else pc.if_else(valid, values, None)


def _text_array(column: pa.Array) -> pa.Array:
    plain = column.dictionary_decode() if pa.types.is_dictionary(column.type) else column
    return plain.cast(pa.large_binary())


def _hashes(values: U64) -> pa.Array:
    return pa.array(values, pa.uint64(), mask=values == 0)


def _fill(given: pa.Array, computed: pa.Array) -> pa.Array:
    """The given values, or the computed ones if missing; `coalesce` has no kernel for lists of every type."""
    plain = given.dictionary_decode() if pa.types.is_dictionary(given.type) else given
    return pc.if_else(pc.is_valid(plain), plain.cast(computed.type), computed)
