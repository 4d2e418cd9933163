"""What a result was computed from: every input with its digest, listed in full where few and folded where many."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

NAME = "inputs.ndjson"
# So many inputs are listed one by one in `scan.json` and the report; a longer list is a file beside them.
LISTED = 50
_FOLDERS = 50
_SUMS = ("bytes", "read", "rejected")

Inputs = Sequence[Mapping[str, Any]]


def folded(inputs: Inputs) -> dict[str, Any]:
    """What `scan.json` says of the inputs.

    inputs: path, bytes, sha256, format, rows read and rejected of each. `inputs` lists all of them, or, where they are
    more than LISTED, the first ones and the first of those that rejected rows. Then `more_inputs` has the totals of
    all, the same by folder and format, the file that lists all, and one digest over them.

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
            "file": NAME,
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
    """Write the file that lists all inputs, where `scan.json` does not. Raises OSError."""
    if len(inputs) > LISTED:
        lines = (json.dumps(dict(one), default=str) + "\n" for one in inputs)
        (folder / NAME).write_text("".join(lines), encoding="utf-8")


def _by_folder(inputs: Inputs) -> list[dict[str, Any]]:
    """Sums by folder and format; many folders are taken together under the ones above them."""
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
