"""Text that ships with Python, as token streams: for the teacher, for the student's own training, and held out."""

from __future__ import annotations

import ast
import collections
import pydoc_data.topics
import re
import sysconfig
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

I64 = npt.NDArray[np.int64]
START, UNKNOWN = 0, 1
_SHORTEST = 60


class Corpus(NamedTuple):
    """Token streams, int64[n] each. teacher, student, held_out: disjoint texts; vocabulary: words by id."""

    teacher: I64
    student: I64
    held_out: I64
    vocabulary: list[str]

    def prompts(self, stream: I64, count: int, length: int, seed: int) -> I64:
        """Windows of a stream. int64[count, length]."""
        places = np.random.default_rng(seed).integers(0, len(stream) - length, count)
        rows: I64 = stream[places[:, None] + np.arange(length)]
        return rows


def paragraphs() -> list[str]:
    """Help topics and docstrings of the standard library."""
    topics: dict[str, str] = pydoc_data.topics.topics
    found = [part for text in topics.values() for part in re.split(r"\n\s*\n", text)]
    for file in sorted(Path(sysconfig.get_paths()["stdlib"]).glob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, (ast.FunctionDef, ast.ClassDef, ast.Module)):
                text = ast.get_docstring(node)
                if text and len(text) > _SHORTEST:
                    found.append(text)
    return found


def load(size: int = 1024) -> Corpus:
    """The corpus over the `size` most frequent words."""
    texts = [re.findall(r"[a-z]+|[0-9]|[^\sa-z0-9]", part.lower()) for part in paragraphs()]
    # Shuffled, so that teacher, student and prompts get both topics and docstrings.
    order = np.random.default_rng(0).permutation(len(texts))
    counts = collections.Counter(word for text in texts for word in text)
    listed = ["", "?", *(word for word, _ in counts.most_common(size - 2))]
    ids = {word: i for i, word in enumerate(listed)}
    stream = np.array([t for i in order for t in (START, *(ids.get(w, UNKNOWN) for w in texts[i]))], np.int64)
    half, most = len(stream) // 2, int(len(stream) * 0.85)
    return Corpus(stream[:half], stream[half:most], stream[most:], listed)
