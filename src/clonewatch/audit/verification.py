"""Checking an audit offline, from its raw answers: hashes, the ledger, the plan, every figure, and the report.

Every file of the folder is accounted for: by a hash that the ledger holds, or by being derived again and compared. What
is not covered is named, and so is what no folder can show by itself: how old it is.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

from clonewatch.audit import answers, asking, report
from clonewatch.audit.collected import Collected
from clonewatch.audit.committing import reader
from clonewatch.audit.folder import LOCK, MANIFEST, PAGE, PLAN, RAW, REPORT, RESULTS, SENT, Folder
from clonewatch.audit.json_text import canonical, digest_of
from clonewatch.audit.ledger import Ledger, Record
from clonewatch.audit.plan import AuditPlan, sha256
from clonewatch.audit.prf import VllmPhilox, VllmPhiloxSingle
from clonewatch.audit.run import SEALED, looked, read_plan, rows_of
from clonewatch.audit.run_tests import results_of
from clonewatch.model.errors import InputError, KeyFileError

_FORM = {
    "equality": (dict, type(None)),
    "parts": int,
    "plan": str,
    "program": str,
    "requests": int,
    "sealed": str,
    "sources": dict,
    "tests": list,
}
_HEAD = re.compile(re.escape(report.WRITTEN_AT) + "([0-9a-f]{64})")
# Tolerance for floating point on another machine; the ledger holds the digest of the figures as they were.
_CLOSE = 1e-6
# What reading an altered file can raise.
_ALTERED = (InputError, KeyError, TypeError, ValueError, AttributeError, IndexError)


class Problem(NamedTuple):
    """A failed check: where, and what."""

    where: str
    what: str


def verify(kept: Folder, ledger: Ledger, head: str = "", style: str = "") -> list[Problem]:
    """Every failed check of an audit; an empty list if all checks pass.

    ledger: with its file of secrets, or with the secrets revealed in it. head: a hash of the ledger that was
    published. style: CSS of the page. Raises InputError if there is no audit to check.
    """
    for name in (PLAN, RESULTS):
        if not kept.has(name):
            kept.read(name)
    problems = [Problem(f"{ledger.path.name}:{p.line}", p.what) for p in ledger.verify(head)]
    if problems:
        return problems
    try:
        plan, digest = read_plan(kept)
    except InputError as error:
        return [Problem(PLAN, error.what)]
    records = ledger.records()
    for name in (PLAN, RESULTS):
        problems += _canonical(kept, name)
    if all(r.kind != "plan" or r.body["digest"] != digest for r in records):
        what = "the ledger does not know this plan: it was changed, or this is another ledger"
        return [*problems, Problem(PLAN, what)]
    problems += _strangers(kept, plan)
    problems += list(_inputs(kept, plan))
    problems += list(_manifest(kept))
    results = _results(kept, plan)
    if results is None:
        return [*problems, Problem(RESULTS, "these are not the results of this plan")]
    problems += list(_bound(kept, plan, digest, results, records))
    problems += list(_raw(kept, plan, records, digest, results, ledger))
    problems += list(_figures(kept, plan, results, ledger))
    if not any(p.where == RESULTS for p in problems):
        problems += list(_report(kept, plan, digest, results, records, style))
    return problems


def _canonical(kept: Folder, name: str) -> list[Problem]:
    """Whether a file is the canonical text of an object, so that every byte of it counts."""
    try:
        whole = kept.read(name) == canonical(kept.object(name)) + b"\n"
    except _ALTERED as error:
        return [Problem(name, f"it cannot be read: {error}")]
    return [] if whole else [Problem(name, "it was changed: it is not in canonical form")]


def _strangers(kept: Folder, plan: AuditPlan) -> list[Problem]:
    """Whatever in the folder belongs to no step of an audit."""
    known = {PLAN, SENT, MANIFEST, RESULTS, REPORT, PAGE, RAW, *plan.files, *(f"{RAW}/{name}" for name in plan.sources)}
    problems = []
    for place in sorted(kept.path.rglob("*")):
        name = place.relative_to(kept.path).as_posix()
        folder = name == RAW or (name.startswith(RAW + "/") and name in known)
        if place.is_symlink():
            problems.append(Problem(name, "it is a link, which nothing here covers"))
        elif name == LOCK and place.is_file() and not place.stat().st_size:
            continue  # one command at a time; it holds nothing
        elif folder != place.is_dir() or not (name in known or _is_raw(place, kept.path)):
            problems.append(Problem(name, "it belongs to no step of this audit"))
    return problems


def _is_raw(place: Path, folder: Path) -> bool:
    return place.suffix == ".json" and place.parent.parent == folder / RAW and place.is_file()


def _inputs(kept: Folder, plan: AuditPlan) -> Iterator[Problem]:
    for name, wanted in plan.files.items():
        if not kept.has(name) or sha256(kept.read(name)) != wanted:
            yield Problem(name, "it is not the one that was planned")


def _manifest(kept: Folder) -> Iterator[Problem]:
    try:
        for one in kept.changed():
            yield Problem(*one)
    except _ALTERED as error:
        yield Problem(MANIFEST, f"it cannot be read: {error}")


def _results(kept: Folder, plan: AuditPlan) -> dict[str, Any] | None:
    """The results, if they are an object of the right form."""
    try:
        told = kept.object(RESULTS)
        if set(told) != set(_FORM) or not all(isinstance(told[name], kind) for name, kind in _FORM.items()):  # type: ignore[arg-type]
            return None
        named = [row["id"] for row in told["tests"]] == [test.id for test in plan.tests]
        return (
            told if named and 1 <= told["parts"] <= plan.looks and set(told["sources"]) == set(plan.sources) else None
        )
    except _ALTERED:
        return None


def _bound(
    kept: Folder, plan: AuditPlan, digest: str, results: Mapping[str, Any], records: list[Record]
) -> Iterator[Problem]:
    """Check that the ledger contains the plan, the secrets, the answers and the results, in this order."""
    planned = next(r for r in records if r.kind == "plan" and r.body["digest"] == digest)
    committed = {r.body["commitment"]: r for r in records if r.kind == "commit"}
    for test in plan.tests:
        found = committed.get(test.commitment)
        if (
            found is None
            or found.n > planned.n
            or found.at != test.committed
            or any(found.body[name] != getattr(test, name) for name in ("since", "until", "carriers"))
            or found.body["secret"] != test.test
            or found.body.get("origin", "unknown") != test.origin
            or not _committed(test.public, found.body["public"])
        ):
            yield Problem(PLAN, f"the secret of {test.id} is not in the ledger as planned")
    mine = [r for r in records if r.kind == "look" and r.body["plan"] == digest]
    sealed = [r for r in mine if r.body["test"] == SEALED and r.body["result"] == results["sealed"]]
    if results["plan"] != digest:
        yield Problem(RESULTS, "these are the results of another plan")
    if not sealed or not kept.has(MANIFEST) or sha256(kept.read(MANIFEST)) != results["sealed"]:
        yield Problem(MANIFEST, "the ledger does not know these answers")
        return
    try:
        sent = len(kept.rows(SENT))
    except InputError as error:
        sent = results["requests"]
        yield Problem(SENT, error.what)
    if results["requests"] != sent:
        yield Problem(RESULTS, f"requests: {SENT} lists {sent}")
    told = {r.body["test"]: r for r in mine}
    for name, (_, row) in rows_of(plan, results).items():
        name = f"{name}/{results['parts']}"
        if name not in told or told[name].body["result"] != digest_of(row) or told[name].n < sealed[0].n:
            yield Problem(RESULTS, f"the ledger contains no such result of {name}")
    looks = [r for r in mine if r.body["test"].partition("/")[0] == plan.tests[0].id]
    if len(looks) > plan.looks or len({r.body["test"] for r in looks}) < len(looks):
        yield Problem(RESULTS, f"{len(looks)} looks, but {plan.looks} were planned")


def _committed(planned: Mapping[str, Any], committed: Mapping[str, Any]) -> bool:
    """Whether a test has the parameters that were committed, but for which of two mappings of one name is meant."""
    single = {**committed, "prf": VllmPhiloxSingle.name} if committed.get("prf") == VllmPhilox.name else committed
    return planned in (committed, single)


def _raw(
    kept: Folder, plan: AuditPlan, records: list[Record], digest: str, results: Mapping[str, Any], ledger: Ledger
) -> Iterator[Problem]:
    """Check that every raw answer is unchanged since it was received, newer than the plan, and to a request of it."""
    planned = next(r.at for r in records if r.kind == "plan" and r.body["digest"] == digest)
    found = {
        place.relative_to(kept.path / RAW).as_posix()[: -len(".json")] for place in (kept.path / RAW).rglob("*.json")
    }
    asked: dict[str, Any] = {}
    for name in sorted(found):
        where = f"{RAW}/{name}.json"
        try:
            told = kept.object(where)
        except InputError:
            told = {}
        if not answers.stored(told):
            yield Problem(where, "not a stored answer, or no longer with the hash that it had when it was received")
        elif not told["replayed"] and told["at"] < planned:
            yield Problem(where, "it is older than the plan")
        else:
            asked[name] = told["request"]
    if len(asked) < len(found):
        return
    try:
        collected, secret = Collected(kept, plan), reader(ledger)
        wanted = {r.name: r.body for r in asking.questions(plan, collected, secret, plan.looks)}
        wanted |= {r.name: r.body for r in asking.references(plan, _Held(kept, plan, found), plan.looks)}
    except (KeyFileError, *_ALTERED):
        return  # the figures say so
    for name in sorted(found):
        if wanted.get(name) != asked[name]:
            yield Problem(f"{RAW}/{name}.json", "it answers no request of this plan")


class _Held(Collected):
    """Collected answers of which some are still missing, because a later look needs them."""

    def __init__(self, folder: Folder, plan: AuditPlan, found: set[str]) -> None:
        super().__init__(folder, plan)
        self._found = found

    def answers(self, name: str, what: str) -> list[answers.Answer]:
        """The usable answers; none to a request that has not been answered."""
        return super().answers(name, what) if f"{name}/{what}" in self._found else []


def _figures(kept: Folder, plan: AuditPlan, results: Mapping[str, Any], ledger: Ledger) -> Iterator[Problem]:
    """Run every test again and compare."""
    if results["program"] != version("clonewatch"):
        yield Problem(
            RESULTS,
            f"made by version {results['program']} of the program, and this is {version('clonewatch')}: verify with"
            " that version",
        )
        return
    try:
        again = results_of(plan, Collected(kept, plan), reader(ledger), results["parts"])
    except KeyFileError as error:
        yield Problem("secrets", f"the tests could not be repeated: {error.what}. {error.fix}")
        return
    except _ALTERED as error:
        yield Problem(RAW, f"the tests could not be repeated: {error}")
        return
    for name in ("parts", "sources", "equality"):
        if not _same(results[name], again[name]):
            yield Problem(RESULTS, f"{name}: the raw answers give a different result")
    for told, row in zip(results["tests"], again["tests"], strict=True):
        if not _same(told, row):
            yield Problem(RESULTS, f"{row['id']}: the raw answers give a different result")


def _same(one: Any, other: Any) -> bool:
    """Whether two plain values agree, numbers within floating-point tolerance."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(one[k], other[k]) for k in one)
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(_same, one, other))
    if isinstance(one, float) or isinstance(other, float):
        numbers = isinstance(one, int | float) and isinstance(other, int | float)
        return numbers and math.isclose(one, other, rel_tol=_CLOSE, abs_tol=_CLOSE)
    return bool(one == other)


def _report(
    kept: Folder, plan: AuditPlan, digest: str, results: Mapping[str, Any], records: list[Record], style: str
) -> Iterator[Problem]:
    """Write both reports again, from the ledger as it was when they were written, and compare them."""
    told = kept.read(REPORT).decode("utf-8", "replace") if kept.has(REPORT) else ""
    found = _HEAD.search(told)
    until = next((r.n for r in records if found and r.hash == found[1]), -1)
    last = max((r.n for r in records if r.kind == "look" and r.body["plan"] == digest), default=len(records))
    chapters = report.chapters(plan, digest, results, records[: max(until, last) + 1])
    for name, again in ((REPORT, report.markdown(chapters)), (PAGE, report.page(chapters, style))):
        if not kept.has(name):
            yield Problem(name, "it is missing: write it with clonewatch audit report")
        elif until < last or kept.read(name) != again.encode():
            yield Problem(name, "it does not match these results")


def uncovered(kept: Folder, ledger: Ledger) -> list[Problem]:
    """Files beside the audit that belong to it and that `verify` does not cover, or only in part, and why."""
    told = []
    if ledger.secrets_path.exists():
        told.append(Problem(ledger.secrets_path.name, "only the secrets that this plan tests are checked"))
    for ending, why in ((".pending", "it names a commitment that was not finished"), (".lock", "it holds nothing")):
        place = ledger.path.with_name(ledger.path.name + ending)
        if place.exists():
            told.append(Problem(place.name, why))
    return told


def age(ledger: Ledger, head: str = "") -> str:
    """What is known about the age of a ledger that holds, as a sentence. head: a hash that was published."""
    records = ledger.records()
    stamped = [r for r in records if r.kind == "timestamp" and _stamps(ledger, r)]
    said = []
    if head:
        n = next(r.n for r in records if r.hash == head)
        said.append(f"records 0 to {n} are as old as the publication of the head that you gave")
    if stamped:
        n = max(next(r.n for r in records if r.hash == stamp.body["head"]) for stamp in stamped)
        said.append(f"records 0 to {n} are as old as their timestamp, whose signature was not checked here")
    if not said:
        return (
            "Age: unproven. Nothing here shows when the ledger was written: give a head that was published with --head,"
            " or have the head stamped by an authority."
        )
    return f"Age: {'; '.join(said)}. Later records have no proven age."


def _stamps(ledger: Ledger, record: Record) -> bool:
    """Whether the token of a timestamp holds the hash that it is said to stamp."""
    try:
        token = ledger.path.with_name(Path(record.body["file"]).name).read_bytes()
        return bytes.fromhex(record.body["head"]) in token
    except (OSError, *_ALTERED):
        return False


def _unlike_sealed(kept: Folder, digest: str, ledger: Ledger) -> Iterator[Problem]:
    """Answers that are not the sealed ones. Some may have been added since, for another look: `verify` names them."""
    mine = (r.body for r in ledger.records() if r.kind == "look" and r.body["plan"] == digest)
    seals = {body["result"] for body in mine if body["test"] == SEALED}
    if not kept.has(MANIFEST) or sha256(kept.read(MANIFEST)) not in seals:
        yield Problem(MANIFEST, "the ledger does not know these answers")
        return
    yield from (Problem(name, wrong) for name, wrong in kept.changed(added=False))


def _refused(kept: Folder, problem: Problem) -> InputError:
    where = str(kept.path / problem.where)
    return InputError(problem.what, where=where, fix="Restore the folder and the ledger from their backups")


def write_report(kept: Folder, ledger: Ledger, style: str) -> str:
    """Write report.md and report.html of an audit's results; returns the Markdown. style: CSS."""
    plan, digest = read_plan(kept)
    results = _results(kept, plan)
    if results is None:
        raise InputError(
            "these are not the results of this plan", where=str(kept.path / RESULTS), fix="Run: clonewatch audit test"
        )
    if not looked(ledger, digest):
        raise InputError("the ledger contains no look at this audit", where=str(ledger.path), fix="Name its ledger")
    for problem in _bound(kept, plan, digest, results, ledger.records()):
        if problem.where in (PLAN, RESULTS):
            raise _refused(kept, problem)
    for problem in _unlike_sealed(kept, digest, ledger):
        raise _refused(kept, problem)
    with kept.locked():
        parts = report.chapters(plan, digest, results, ledger.records())
        text = report.markdown(parts)
        kept.write(REPORT, text.encode())
        kept.write(PAGE, report.page(parts, style).encode())
    return text
