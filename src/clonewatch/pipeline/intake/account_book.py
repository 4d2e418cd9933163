"""Numbers for account ids, so that later stages compare and store integers."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc


class AccountBook:
    """Account ids as small integers, in order of first appearance."""

    def __init__(self, ids: Iterable[str] = ()) -> None:
        """ids: those already in the book; an empty one is the place of a forgotten account."""
        self.ids: list[str] = list(ids)
        self._code: dict[str, int] = {name: i for i, name in enumerate(self.ids) if name}

    def codes(self, ids: pa.Array) -> np.ndarray:
        """Codes of a batch of account ids, int32; null gives -1."""
        encoded = pc.dictionary_encode(ids)
        known = np.empty(len(encoded.dictionary) + 1, np.int32)
        known[-1] = -1
        for i, name in enumerate(encoded.dictionary.to_pylist()):
            code = self._code.get(name)
            if code is None:
                code = self._code[name] = len(self.ids)
                self.ids.append(name)
            known[i] = code
        at: np.ndarray = encoded.indices.fill_null(len(known) - 1).to_numpy(zero_copy_only=False)
        return np.take(known, at)

    def find(self, ids: pa.Array) -> np.ndarray:
        """Codes of account ids that are in the book, int32; -1 for all others."""
        return np.array([self._code.get(i, -1) for i in ids.to_pylist()], np.int32)
