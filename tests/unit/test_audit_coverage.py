"""What `verify` covers: every byte of every file is found when it changes, or its file is named as not covered.

CLONEWATCH_LONG=1 flips 1,000 bits in place of 80.
"""

import json
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
from tests.unit.audit_stand import honest, planned, standing

from clonewatch.audit.folder import Folder
from clonewatch.audit.json_text import canonical, parsed
from clonewatch.audit.ledger import Ledger
from clonewatch.audit.run import collect, run_tests
from clonewatch.audit.verification import age, uncovered, verify, write_report
from clonewatch.model.errors import ClonewatchError, InputError

pytest.importorskip("httpx", reason="httpx is not installed: nobody can be asked")
FLIPS = 1000 if os.environ.get("CLONEWATCH_LONG") == "1" else 80


class Done(NamedTuple):
    """An audit that is done, and the copy that a test may alter."""

    place: Path
    kept: Folder
    ledger: Ledger

    def found(self) -> set[str]:
        """The files that a check names, or one that stops it."""
        try:
            return {problem.where.partition(":")[0] for problem in verify(self.kept, self.ledger)}
        except ClonewatchError as error:
            return {error.where}


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole audit with a report."""
    place = tmp_path_factory.mktemp("covered")
    with standing(honest) as (url, _):
        kept, ledger = planned(place, url, more="answers = 1")
        collect(kept, ledger)
    run_tests(kept, ledger)
    write_report(kept, ledger, "")
    return place


@pytest.fixture
def copy(done: Path, tmp_path: Path) -> Done:
    place = Path(shutil.copytree(done, tmp_path / "copy"))
    return Done(place, Folder(place / "audit"), Ledger(place / "ledger.jsonl"))


def test_an_audit_that_nobody_touched_is_verified(copy: Done) -> None:
    assert verify(copy.kept, copy.ledger) == []


ANSWER = "raw/suspect/answer-00003.json"


def listed_anew(copy: Done) -> None:
    """Another answer, and a manifest that lists it."""
    copy.kept.write(ANSWER, copy.kept.read("raw/control/answer-00003.json"))
    copy.kept.write("manifest.json", canonical(copy.kept.hashes()) + b"\n")


@pytest.mark.parametrize(
    ("change", "where"),
    [
        (lambda copy: copy.kept.write(ANSWER, b"{}"), ANSWER),
        (lambda copy: (copy.kept.path / ANSWER).unlink(), ANSWER),
        (lambda copy: copy.kept.write("tokenizer.txt", b"other\n"), "tokenizer.txt"),
        (listed_anew, "manifest.json"),
    ],
    ids=["changed", "gone", "another tokenizer", "listed anew"],
)
def test_no_report_is_written_on_answers_that_are_not_the_sealed_ones(
    change: Callable[[Done], object], where: str, copy: Done
) -> None:
    before = copy.kept.read("report.html")
    change(copy)
    with pytest.raises(InputError) as refused:
        write_report(copy.kept, copy.ledger, "another style")
    assert refused.value.where == str(copy.kept.path / where) and copy.kept.read("report.html") == before


def test_a_flip_of_any_bit_is_found_or_its_file_is_named_as_not_covered(copy: Done) -> None:
    draw = random.Random(7)  # noqa: S311 - places of flips, no secret
    inputs = {"settings.toml", "prompts.jsonl", "words.txt"}  # of the plan, which copied them
    files = sorted(p for p in copy.place.rglob("*") if p.is_file() and p.stat().st_size)
    files = [p for p in files if p.relative_to(copy.place).as_posix() not in inputs]
    # Half of the flips in any file alike, so that small ones are met too; half in any byte alike.
    chosen = [*draw.choices(files, k=FLIPS // 2), *draw.choices(files, [p.stat().st_size for p in files], k=FLIPS // 2)]
    missed = []
    beside = {one.where for one in uncovered(copy.kept, copy.ledger)}
    for place in chosen:
        whole, mode = place.read_bytes(), place.stat().st_mode
        at = draw.randrange(len(whole))
        place.write_bytes(whole[:at] + bytes([whole[at] ^ 1 << draw.randrange(8)]) + whole[at + 1 :])
        if not copy.found() and place.name not in beside:
            missed.append((place.name, at))
        place.write_bytes(whole)
        place.chmod(mode)
    assert missed == [] and beside == {"ledger.jsonl.secrets", "ledger.jsonl.lock"}


def linked(kept: Folder) -> None:
    (kept.path / "report.md").rename(kept.path.parent / "elsewhere")
    (kept.path / "report.md").symlink_to("../elsewhere")


# What is done: the file that is named, and how; bytes to write, two to exchange, None to remove it, or a function.
How = bytes | tuple[bytes, bytes] | Callable[[Folder], None] | None
ALTERED: dict[str, tuple[str, How]] = {
    "the page is replaced": ("report.html", b"<h1>Nothing was found</h1>"),
    "the page is gone": ("report.html", None),
    "the report is gone": ("report.md", None),
    "a key occurs twice": ("results.json", (b'{"equality"', b'{"parts":7,"equality"')),
    "a key is added": ("results.json", (b'{"equality"', b'{"a":1,"equality"')),
    "a row has one more key": ("results.json", (b'"level":', b'"kevel":1,"level":')),
    "the count of requests differs": ("results.json", (b'"requests":24', b'"requests":23')),
    "spaces are added": ("plan.json", (b"{", b"{ ")),
    "a key of the plan occurs twice": ("plan.json", (b'"version"', b'"version":1,"version"')),
    "a request is not listed": ("sent.jsonl", (b'"attempt":1', b'"attempt":2')),
    "a file is added": ("raw/suspect/notes.txt", b"x"),
    "an answer is added": ("raw/suspect/answer-00099.json", b"{}"),
    "a model is added": ("raw/other/answer-00000.json", b"{}"),
    "a hidden file is added": (".hidden", b"x"),
    "a folder is added": ("more", lambda kept: (kept.path / "more").mkdir()),
    "the lock holds something": (".lock", b"x"),
    "a write was begun": ("report.md.part", b"x"),
    "results are prepared": ("results.json.next", b"x"),
    "a file is a link": ("report.md", linked),
    "the answers are not listed": ("manifest.json", None),
}


@pytest.mark.parametrize("what", ALTERED)
def test_what_is_altered_added_or_gone_is_named(copy: Done, what: str) -> None:
    name, how = ALTERED[what]
    if how is None:
        (copy.kept.path / name).unlink()
    elif isinstance(how, bytes):
        copy.kept.write(name, how)
    elif isinstance(how, tuple):
        assert how[0] in copy.kept.read(name)
        copy.kept.write(name, copy.kept.read(name).replace(*how, 1))
    else:
        how(copy.kept)
    assert name in copy.found()


def test_the_age_is_unproven_without_a_published_head_or_a_timestamp_of_it(copy: Done) -> None:
    ledger = copy.ledger
    assert age(ledger).startswith("Age: unproven")
    head = ledger.head()
    assert "that you gave" in age(ledger, head)
    ledger.timestamp(b"\x30\x03\x02\x01\x00", head)
    assert age(ledger).startswith("Age: unproven"), "the token does not hold the head"
    ledger.timestamp(b"\x30\x22\x04\x20" + bytes.fromhex(head), head)
    assert "whose signature was not checked here" in age(ledger)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('{"a": 1, "b": {"c": 1, "c": 2}}', "'c' occurs twice"),
        ("[NaN]", "NaN"),
        ("[-Infinity]", "Infinity"),
        ("[1e999]", "beyond the range"),
        ('["\\ud800"]', "surrogates not allowed"),
        ('{"\\uDFFF": 1}', "surrogates not allowed"),
        ("[" * 100_000, "nested too deeply"),
        ("[" + "9" * 5000 + "]", "digits"),
        (b"\xff\xfe[\x00]\x00", "decode"),
    ],
)
def test_json_that_two_readers_could_read_differently_is_refused(text: str | bytes, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        parsed(text)


def test_whole_characters_that_are_escaped_are_read() -> None:
    assert parsed(json.dumps("🙂 ü")) == "🙂 ü"


def test_a_sealed_answer_is_not_asked_for_again(done: Path, tmp_path: Path) -> None:
    place = Path(shutil.copytree(done, tmp_path / "copy"))
    kept, ledger = Folder(place / "audit"), Ledger(place / "ledger.jsonl")
    (kept.path / "raw" / "suspect" / "answer-00003.json").unlink()
    with pytest.raises(InputError, match="missing since the answers were sealed"):
        collect(kept, ledger)
