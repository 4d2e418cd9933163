"""The inputs of a result with their digests: listed in full where they are few, summarised where they are many."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from clonewatch.pipeline.result_files import INPUTS

# At most this many inputs are listed one by one in `scan.json` and the report; a longer list goes into its own file.
LISTED = 50
_FOLDERS = 50
_SUMS = ("bytes", "read", "rejected")

Inputs = Sequence[Mapping[str, Any]]


def folded(inputs: Inputs) -> dict[str, Any]:
    """The entries of `scan.json` about the inputs.

    inputs: path, bytes, sha256, format, rows read and rejected of each. The key `inputs` lists all of them or, where
    there are more than LISTED, the first ones and the first of those with rejected rows. `more_inputs` then has the
    totals, the totals by folder and format, the file that lists all of them, and one digest over them.

    >>> one = {"path": "a/1.json", "bytes": 9, "sha256": "ab", "format": "openai", "read": 1, "rejected": 0}
    >>> list(folded([one])), list(folded([one] * 51))
    (['inputs'], ['inputs', 'more_inputs'])
    """
    if len(inputs) <= LISTED:
        return {"inputs": list(inputs)}
    head, rest = inputs[:LISTED], inputs[LISTED:]
    bad = [one for one in rest if one["rejected"]][:LISTED]
    return {
        "inputs": [*head, *bad],
        "more_inputs": {
            "file": INPUTS,
            "files": len(inputs),
            **{name: sum(one[name] for one in inputs) for name in _SUMS},
            "sha256": digest(inputs),
            "folders": _by_folder(inputs),
        },
    }


def digest(inputs: Inputs) -> str:
    """SHA-256 in hex over the sorted lines `SHA-256  path`, as `sha256sum` writes them."""
    lines = sorted(f"{one['sha256']}  {one['path']}\n" for one in inputs)
    return hashlib.sha256("".join(lines).encode("utf-8", "surrogateescape")).hexdigest()


def write(folder: Path, inputs: Inputs) -> None:
    """Write the file that lists all inputs, if `scan.json` does not list them. Raises OSError."""
    if len(inputs) > LISTED:
        lines = (json.dumps(dict(one), default=str) + "\n" for one in inputs)
        (folder / INPUTS).write_text("".join(lines), encoding="utf-8")


def _by_folder(inputs: Inputs) -> list[dict[str, Any]]:
    """Totals by folder and format; where folders are many, they are grouped by their parent folders."""
    folders = [PurePosixPath(Path(str(one["path"])).as_posix()).parent for one in inputs]
    depth = max(len(folder.parts) for folder in folders)
    while len({(folder, one["format"]) for folder, one in zip(folders, inputs, strict=True)}) > _FOLDERS and depth:
        depth -= 1
        folders = [PurePosixPath(*folder.parts[:depth]) for folder in folders]
    sums: dict[tuple[str, str], Counter[str]] = {}
    for folder, one in zip(folders, inputs, strict=True):
        group = sums.setdefault((str(folder), str(one["format"])), Counter())
        group["files"] += 1
        for name in _SUMS:
            group[name] += one[name]
    return [
        {"folder": folder, "format": form, "files": group["files"], **{name: group[name] for name in _SUMS}}
        for (folder, form), group in sums.items()
    ]
