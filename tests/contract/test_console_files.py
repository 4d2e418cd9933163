"""What others wrote of the console's files is what they published, under a licence that is there; nothing is built."""

import json
import re
from hashlib import sha256
from pathlib import Path

import clonewatch

SERVICE = Path(clonewatch.__file__).parent / "service"
STATIC = SERVICE / "static"
VENDORED = json.loads((STATIC / "vendored.json").read_text(encoding="utf-8"))
# Bytes; a file of our own that is larger was not written by hand.
_BY_HAND = 30_000


def test_vendored_files_are_those_of_the_list() -> None:
    assert [one["file"] for one in VENDORED] == sorted(one["file"] for one in VENDORED)
    for one in VENDORED:
        assert sha256((STATIC / one["file"]).read_bytes()).hexdigest() == one["sha256"], one["file"]
        assert (STATIC / one["licence_file"]).read_text(encoding="utf-8").strip()
        assert re.fullmatch(r"[0-9]+(\.[0-9]+)+", one["version"]) and one["licence"] in ("0BSD", "MIT", "BSD-3-Clause")


def test_everything_else_was_written_by_hand() -> None:
    listed = {one["file"] for one in VENDORED} | {one["licence_file"] for one in VENDORED} | {"vendored.json"}
    others = {p.name: p.stat().st_size for p in STATIC.iterdir() if p.name not in listed}
    assert all(name.endswith((".js", ".css", ".svg")) for name in others), others
    assert {name for name, size in others.items() if size > _BY_HAND} == set()


def test_our_script_and_styles_load_nothing_and_run_no_text() -> None:
    for file in (*STATIC.glob("*.css"), STATIC / "console.js"):
        text = file.read_text(encoding="utf-8")
        assert not re.search(r"@import|url\(|https?:|eval\(|new Function|innerHTML|insertAdjacentHTML", text), file.name


def test_no_template_turns_escaping_off_or_loads_from_elsewhere() -> None:
    for file in (SERVICE / "templates").glob("*.j2"):
        text = file.read_text(encoding="utf-8")
        assert not re.search(r"\|\s*safe\b|autoescape|Markup|hx-on|javascript:|(?:src|href)=\"https?:", text), file.name
