"""The published specification of template signatures: its vectors, in Python and in JavaScript, and other keys."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from tests.required import required

from clonewatch.fingerprints.fingerprinting import Fingerprinter
from clonewatch.kernels.hashing import derive
from clonewatch.kernels.sketching import enciphered, minhash, shingles, sketch_key, sketch_matrix
from clonewatch.model.errors import KeyFileError, SetupError
from clonewatch.sharing import epoch_key
from clonewatch.sharing.epoch_key import EpochKey
from clonewatch.sharing.template_signature import FEWEST_SHINGLES, alike, key_name, signature, sketch_of

ROOT = Path(__file__).resolve().parents[2]
VECTORS = ROOT / "docs" / "reference" / "template-signature.json"
SCRIPT = ROOT / "examples" / "template_signature.js"
NODE = shutil.which("node")
BROWSER = shutil.which("chromium") or shutil.which("chromium-browser")
FIRST, SECOND = EpochKey(bytes(range(32))), EpochKey(bytes(range(32, 64)))


def tokens(seed: int, count: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 2**64, count, np.uint64, endpoint=False)


def minima(words: np.ndarray) -> np.ndarray:
    out, key = np.empty(64, np.uint32), sketch_key(bytes(16))
    minhash(words, len(words), key.factors, key.addends, out)
    return out


def made() -> dict[str, Any]:
    """The vectors as the specification has them."""
    text = tokens(1, 60)
    changed = text.copy()
    changed[[20, 40]] = tokens(2, 2)
    cases = [("a text", text, FIRST), ("two words changed", changed, FIRST), ("another text", tokens(3, 60), FIRST)]
    cases += [("under another key", text, SECOND), ("as long as one shingle", tokens(4, 3), FIRST)]
    vectors, words = [], {}
    for name, one, key in cases:
        words[name] = enciphered(minima(one), key.sketches())[0]
        vectors.append(
            {
                "name": name,
                "key": key.secret.hex(),
                "key_name": key.name,
                "sketch_key": derive(key.secret, "sketch").hex(),
                "tokens": [f"{token:016x}" for token in one.tolist()],
                "value": f"cwt1:{key.name}:{words[name].astype('>u4').tobytes().hex()}",
            }
        )
    pairs = [("a text", name) for name in ("two words changed", "another text", "under another key")]
    return {
        "schema": "clonewatch.template-signature-vectors.v1",
        "vectors": vectors,
        "pairs": [{"left": a, "right": b, "equal": int(np.sum(words[a] == words[b]))} for a, b in pairs],
    }


def test_the_vectors_are_what_this_program_makes() -> None:
    """`make golden` writes them anew."""
    if os.environ.get("CLONEWATCH_GOLDEN") == "write":
        VECTORS.write_text(json.dumps(made(), indent=1) + "\n", encoding="utf-8")
    held = json.loads(VECTORS.read_text(encoding="utf-8"))
    assert held == made()
    # Similar texts stay similar, others do not, and another key leaves nothing to compare.
    assert [pair["equal"] for pair in held["pairs"]] == [52, 0, 0]


@required("another implementation", [] if NODE or BROWSER else ["node, or a browser"])
def test_another_implementation_finds_the_same(tmp_path: Path) -> None:
    broken = json.loads(VECTORS.read_text(encoding="utf-8"))
    broken["vectors"][0]["value"] = broken["vectors"][1]["value"]
    (tmp_path / "broken.json").write_text(json.dumps(broken), encoding="utf-8")
    for said in ([_in_node] if NODE else []) + ([_in_a_browser] if BROWSER else []):
        assert said(VECTORS, tmp_path) == "every vector holds"
        assert said(tmp_path / "broken.json", tmp_path) == "a text: another value"


def _in_node(vectors: Path, _: Path) -> str:
    done = subprocess.run([NODE, SCRIPT, vectors], capture_output=True, text=True, timeout=120)
    return done.stdout.strip()


def _in_a_browser(vectors: Path, folder: Path) -> str:
    script, page = SCRIPT.read_text(encoding="utf-8"), folder / "check.html"
    run = f'document.title = check({vectors.read_text(encoding="utf-8")}).join() || "every vector holds";'
    page.write_text(f"<title></title><script>{script}</script><script>{run}</script>", encoding="utf-8")
    words = [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom", page.as_uri()]
    done = subprocess.run(words, capture_output=True, text=True, timeout=120)
    found = re.search("<title>(.*)</title>", done.stdout)
    return found[1] if found else done.stdout + done.stderr


def test_putting_off_ones_own_key_gives_what_the_groups_key_gives_to_the_text() -> None:
    asked = "Explain in your own words, step by step, how the moon moves the water of the seas and why twice a day"
    batch = pa.record_batch({"messages": [json.dumps([{"role": "user", "content": asked}])]})
    own, theirs = (sketch_matrix(Fingerprinter(key.secret).apply(batch)["sketch"])[0] for key in (FIRST, SECOND))
    value = signature(own, FIRST.sketches(), SECOND)
    assert value == f"cwt1:{SECOND.name}:{theirs.astype('>u4').tobytes().hex()}" and key_name(value) == SECOND.name
    back = sketch_of(value, SECOND, FIRST.sketches())
    assert (back == own).all() and alike(np.stack([own, theirs]), back).tolist() == [True, False]


def test_a_text_that_could_be_guessed_is_not_told() -> None:
    key = FIRST.sketches()
    counts = [shingles(minima(tokens(5, size)), key) for size in (3, 12, 60)]
    assert counts[0] == 1 and counts[1] <= 10 and counts[2] > FEWEST_SHINGLES
    short = enciphered(minima(tokens(5, 12)), key)[0]
    with pytest.raises(SetupError, match="different shingles"):
        signature(short, key, SECOND)


def test_what_is_no_signature_or_of_another_key_is_refused() -> None:
    with pytest.raises(SetupError, match="this is no template signature"):
        key_name("cwt1:00")
    value = signature(enciphered(minima(tokens(1, 60)), FIRST.sketches())[0], FIRST.sketches(), SECOND)
    with pytest.raises(SetupError, match="made with another key"):
        sketch_of(value, FIRST, FIRST.sketches())


def test_the_file_of_a_groups_key_is_private_and_whole(tmp_path: Path) -> None:
    file = tmp_path / "group.key"
    file.touch(0o600)
    file.write_text(FIRST.secret.hex() + "\n")
    assert epoch_key.read(file) == FIRST and FIRST.name != SECOND.name
    file.write_text("00")
    with pytest.raises(KeyFileError, match="not 64 hexadecimal digits"):
        epoch_key.read(file)
    file.chmod(0o644)
    with pytest.raises(KeyFileError, match="open to other users"):
        epoch_key.read(file)
