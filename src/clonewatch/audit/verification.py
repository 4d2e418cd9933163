"""Checking an audit offline, from its raw answers: hashes, the ledger, the plan, every figure, and the report."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from typing import Any, NamedTuple

from clonewatch.audit import answers, report
from clonewatch.audit.collected import Collected
from clonewatch.audit.committing import reader
from clonewatch.audit.folder import MANIFEST, PLAN, RAW, REPORT, RESULTS, Folder
from clonewatch.audit.ledger import Ledger, Record, digest_of
from clonewatch.audit.plan import AuditPlan, sha256
from clonewatch.audit.run import SEALED, looked, read_plan
from clonewatch.audit.run_tests import results_of
from clonewatch.model.errors import InputError, KeyFileError

# Tolerance for floating point on another machine.
_CLOSE = 1e-6


class Problem(NamedTuple):
    """A failed check: where, and what."""

    where: str
    what: str


def verify(kept: Folder, ledger: Ledger, head: str = "") -> list[Problem]:
    """Every failed check of an audit; an empty list if all checks pass.

    ledger: with its file of secrets, or with the secrets revealed in it. head: a hash of the ledger that was
    published. Raises InputError if there is no audit to check.
    """
    plan, digest = read_plan(kept)
    results = kept.object(RESULTS)
    problems = [Problem(f"{ledger.path.name}:{p.line}", p.what) for p in ledger.verify(head)]
    if problems:
        return problems
    records = ledger.records()
    problems += [Problem(*one) for one in kept.changed()]
    problems += list(_inputs(kept, plan))
    problems += list(_bound(kept, plan, digest, results, records))
    problems += list(_raw(kept, records, digest))
    problems += list(_figures(kept, plan, results, ledger))
    if not any(p.where == RESULTS for p in problems):
        again = report.markdown(report.chapters(plan, digest, results, _until(records, digest)))
        if kept.read(REPORT).decode("utf-8", "replace") != again:
            problems.append(Problem(REPORT, "it does not match these results"))
    return problems


def _inputs(kept: Folder, plan: AuditPlan) -> Iterator[Problem]:
    for name, wanted in plan.files.items():
        if not kept.has(name) or sha256(kept.read(name)) != wanted:
            yield Problem(name, "it is not the one that was planned")


def _bound(
    kept: Folder, plan: AuditPlan, digest: str, results: Mapping[str, Any], records: list[Record]
) -> Iterator[Problem]:
    """Check that the ledger contains the plan, the secrets, the answers and the results, in this order."""
    planned = next((r for r in records if r.kind == "plan" and r.body["digest"] == digest), None)
    if planned is None:
        yield Problem(PLAN, "the ledger does not know this plan: it was changed, or this is another ledger")
        return
    committed = {r.body["commitment"]: r for r in records if r.kind == "commit"}
    for test in plan.tests:
        found = committed.get(test.commitment)
        if (
            found is None
            or found.n > planned.n
            or found.at != test.committed
            or found.body["carriers"] != test.carriers
        ):
            yield Problem(PLAN, f"the secret of {test.id} is not in the ledger as planned")
    mine = [r for r in records if r.kind == "look" and r.body["plan"] == digest]
    sealed = [r for r in mine if r.body["test"] == SEALED and r.body["result"] == results["sealed"]]
    if results["plan"] != digest:
        yield Problem(RESULTS, "these are the results of another plan")
    if not sealed or sha256(kept.read(MANIFEST)) != results["sealed"]:
        yield Problem(MANIFEST, "the ledger does not know these answers")
        return
    told = {r.body["test"]: r for r in mine}
    parts = results["parts"]
    wanted = {f"{test.id}/{parts}": row for test, row in zip(plan.tests, results["tests"], strict=False)}
    if results["equality"] is not None:
        wanted[f"equality/{parts}"] = results["equality"]
    for name, row in wanted.items():
        if name not in told or told[name].body["result"] != digest_of(row) or told[name].n < sealed[0].n:
            yield Problem(RESULTS, f"the ledger contains no such result of {name}")
    looks = [r for r in mine if r.body["test"].partition("/")[0] == plan.tests[0].id]
    if len(looks) > plan.looks or len({r.body["test"] for r in looks}) < len(looks):
        yield Problem(RESULTS, f"{len(looks)} looks, but {plan.looks} were planned")


def _raw(kept: Folder, records: list[Record], digest: str) -> Iterator[Problem]:
    """Check that every raw answer is unchanged since it was received, and newer than the plan."""
    planned = next((r.at for r in records if r.kind == "plan" and r.body["digest"] == digest), "")
    for place in sorted((kept.path / RAW).rglob("*.json")):
        name = place.relative_to(kept.path).as_posix()
        try:
            told = kept.object(name)
            if hashlib.sha256(answers.body_of(told)).hexdigest() != told["sha256"]:
                yield Problem(name, "the answer no longer has the hash that it had when it was received")
            elif not told["replayed"] and told["at"] < planned:
                yield Problem(name, "it is older than the plan")
        except (InputError, KeyError, TypeError, ValueError):
            yield Problem(name, "not a stored answer")


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
    except (InputError, KeyError, TypeError, ValueError) as error:
        yield Problem(RAW, f"the tests could not be repeated: {error}")
        return
    for name in ("parts", "sources", "equality"):
        if not _same(results.get(name), again[name]):
            yield Problem(RESULTS, f"{name}: the raw answers give a different result")
    told = {row.get("id"): row for row in results["tests"]}
    for row in again["tests"]:
        if not _same(told.get(row["id"]), row):
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


def _until(records: list[Record], digest: str) -> list[Record]:
    """The ledger up to the last look of a plan, from which its report was written."""
    last = max((r.n for r in records if r.kind == "look" and r.body["plan"] == digest), default=-1)
    return [r for r in records if r.n <= last]


def write_report(kept: Folder, ledger: Ledger, style: str) -> str:
    """Write report.md and report.html of an audit's results; returns the Markdown. style: CSS."""
    plan, digest = read_plan(kept)
    results = kept.object(RESULTS)
    if not looked(ledger, digest):
        raise InputError("the ledger contains no look at this audit", where=str(ledger.path), fix="Name its ledger")
    parts = report.chapters(plan, digest, results, _until(ledger.records(), digest))
    text = report.markdown(parts)
    kept.write(REPORT, text.encode())
    kept.write("report.html", report.page(parts, style).encode())
    return text
