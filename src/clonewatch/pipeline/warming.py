"""Compiles every kernel of a scan and of an audit ahead of the first run."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from clonewatch.audit.prf import Blake2, VllmAdditive, VllmPhilox
from clonewatch.fingerprints.fingerprinting import Fingerprinter
from clonewatch.kernels.addresses import prefixes
from clonewatch.kernels.compiling import cache_folder, when_compiling
from clonewatch.kernels.hashing import keyed_hash
from clonewatch.ports.progress import Progress, Silent

_ROW = {
    "messages": ['[{"role": "user", "content": "Name three rivers of Peru"}]'],
    "system_text": ["You are a helpful assistant that answers in one short sentence."],
}


class Warmed(NamedTuple):
    """What a warm-up did.

    seconds: how long it took. compiled: whether anything had to be compiled. folder: where compiled kernels are stored,
    None where no folder can be written.
    """

    seconds: float
    compiled: bool
    folder: Path | None


def warm_up(progress: Progress | None = None) -> Warmed:
    """Run every kernel once; kernels that are stored compiled are only loaded."""
    watcher = progress or Silent()
    begun = time.monotonic()
    compiling: list[bool] = []
    with when_compiling(lambda: compiling.append(True)):
        watcher.start("kernels", len(_KERNELS), "steps")
        for run in _KERNELS:
            run()
            watcher.advance(1)
        watcher.end("compiled" if compiling else "already compiled")
    return Warmed(time.monotonic() - begun, bool(compiling), cache_folder())


def _hashes() -> None:
    keyed_hash(pa.array(["a"]), bytes(16))


def _addresses() -> None:
    prefixes(pa.array(["192.0.2.1"]), bytes(16))


def _fingerprints() -> None:
    Fingerprinter(bytes(32)).apply(pa.record_batch(_ROW))


def _watermarks() -> None:
    context, attribute = np.ones((1, 2), np.int64), np.ones(1, np.int64)
    for keyed in (VllmPhilox(1, 2), VllmAdditive(1, 2), Blake2(bytes(16), 2)):
        keyed.uniform(context, attribute)


_KERNELS: tuple[Callable[[], None], ...] = (_hashes, _addresses, _fingerprints, _watermarks)
