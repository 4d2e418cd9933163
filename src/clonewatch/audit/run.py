"""The steps of an audit in their order: plan, collect, test. Each writes into its folder and into the ledger.

Every step prepares its files, records them in the ledger, and then counts as done. A step that was killed, or whose
write failed, goes on where it was when the same command is given again, and ends with the same result.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import msgspec

from clonewatch.audit import asking, client, feasible, inputs, storage, tokenizing
from clonewatch.audit.client import Client, Replay
from clonewatch.audit.collected import Collected
from clonewatch.audit.committing import reader
from clonewatch.audit.folder import (
    INPUTS,
    LISTED,
    LOCK,
    MANIFEST,
    PLAN,
    PREPARED,
    PROMPTS,
    RAW,
    RESULTS,
    SENT,
    TWINS,
    Folder,
)
from clonewatch.audit.json_text import canonical, digest_of
from clonewatch.audit.ledger import Ledger
from clonewatch.audit.plan import VERSION, AuditPlan, converted, read_settings, sha256, sought
from clonewatch.audit.run_tests import results_of
from clonewatch.model.errors import InputError
from clonewatch.model.text_files import bytes_of

Step = Callable[[], None]

# The ledger's name for the seal of raw answers; looks are named by test and part.
SEALED = "collect"
_AGAIN = "Restore the folder from its backup, or plan in a new one"


def make_plan(settings_file: Path, out: Path) -> tuple[AuditPlan, str]:
    """Check the settings, copy what they name, and register the plan; returns it and its digest.

    Given again for the same folder, it finishes or confirms the same plan. Raises InputError for anything that would
    invalidate the audit: a key or tokenizer that our own served text does not confirm, a repeated prompt, a revealed
    secret, a test that could not find anything.
    """
    settings = read_settings(settings_file)
    near = settings_file.parent
    ledger = Ledger(near / settings.ledger)
    ledger.mend()
    broken = ledger.verify()
    if broken:
        raise InputError(
            f"the ledger does not hold: {broken[0].what}",
            where=f"{ledger.path}:{broken[0].line}",
            fix="Restore the ledger from its backup: nothing can be planned on a broken one",
        )
    before = _planned_before(Folder(out), ledger)
    tokenizer = tokenizing.read(near / settings.tokenizer)
    prompts = inputs.prompts(near / settings.prompts)
    pairs = inputs.pairs(near / settings.twins) if settings.twins else []
    tests = sought(ledger, settings.secrets, set(), bool(pairs))
    if settings.served:
        told = inputs.served(near / settings.served)
        tests = [inputs.confirmed(test, told, tokenizer, ledger) for test in tests]
    feasible.check(settings, tests, pairs, len(prompts))
    files = {PROMPTS: b"".join(canonical({"prompt": p}) + b"\n" for p in prompts)}
    ending = ".json" if Path(settings.tokenizer).suffix == ".json" else ".txt"
    files["tokenizer" + ending] = bytes_of(near / settings.tokenizer, pipes=False)
    if pairs:
        files[TWINS] = b"".join(canonical(pair) + b"\n" for pair in pairs)
    plan = AuditPlan(
        version=VERSION,
        made=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        head=ledger.head(),
        sources=settings.sources(),
        access=settings.access,
        prompts=len(prompts),
        answers=settings.answers,
        tokens=settings.tokens,
        temperature=settings.temperature,
        logprobs=settings.logprobs,
        alpha=settings.alpha,
        decoys=settings.decoys,
        looks=settings.looks,
        tests=tests,
        power=settings.power,
        files={name: sha256(data) for name, data in files.items()},
    )
    if before is not None:
        if msgspec.structs.replace(plan, made=before.made, head=before.head) != before:
            raise InputError(
                "this folder is not empty: it holds another plan",
                where=str(out),
                fix="Use a separate folder for each audit",
            )
        plan = before
    return plan, _register(plan, files, Folder(out), ledger)


def _planned_before(kept: Folder, ledger: Ledger) -> AuditPlan | None:
    """The registered plan of a folder; None if there is none. Raises InputError if the folder holds anything else."""
    if not kept.path.is_dir() or not any(kept.path.iterdir()):
        return None
    begun = {name + ending for name in (PLAN, *INPUTS) for ending in ("", storage.PART)} | {LOCK}
    plan = read_plan(kept) if kept.has(PLAN) else None
    if plan is not None and _is_registered(ledger, plan[1]):
        return plan[0]
    if any(place.name not in begun for place in kept.path.iterdir()):
        raise InputError("this folder is not empty", where=str(kept.path), fix="Use a separate folder for each audit")
    # What an interrupted command had begun: nothing in it was registered, so it binds nobody.
    return None


def _register(plan: AuditPlan, files: Mapping[str, bytes], kept: Folder, ledger: Ledger) -> str:
    """Write the files of a plan, then the plan, then its record; returns its digest."""
    try:
        kept.path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot make this folder: {error.strerror}", where=str(kept.path)) from error
    with kept.locked():
        for name in (PLAN, *INPUTS):
            if name not in files:
                storage.remove(kept.path / name)
        for name, data in files.items():
            kept.write(name, data)
        kept.write(PLAN, canonical(plan.to_json()) + b"\n")
        return ledger.plan(plan.to_json())


def read_plan(kept: Folder) -> tuple[AuditPlan, str]:
    """The plan of a folder, and its digest."""
    told = kept.object(PLAN)
    where = str(kept.path / PLAN)
    plan = converted(told, AuditPlan, where)
    if plan.version != VERSION:
        raise InputError(f"a plan of version {plan.version}; this program reads {VERSION}", where=where, fix=_AGAIN)
    if not plan.tests or plan.prompts < 1 or plan.looks < 1 or not _names_inputs(plan):
        what = "the plan names no tests, no prompts or other files than an audit has"
        raise InputError(what, where=where, fix=_AGAIN)
    # Files are named after both, and answers are compared with those of the control.
    if not {"suspect", "control"} <= set(plan.sources) <= {"suspect", "control", "ours"}:
        raise InputError("the plan has other models than a suspect, a control and ours", where=where, fix=_AGAIN)
    if [test.id for test in plan.tests] != [f"T{i}" for i in range(1, len(plan.tests) + 1)]:
        raise InputError("the tests of the plan are not numbered T1, T2 and so on", where=where, fix=_AGAIN)
    for name, source in plan.sources.items():
        source.check(name)
    return plan, digest_of(told)


def _names_inputs(plan: AuditPlan) -> bool:
    tokenizers = [name for name in plan.files if name.startswith("tokenizer")]
    return set(plan.files) <= set(INPUTS) and PROMPTS in plan.files and len(tokenizers) == 1


def collect(
    kept: Folder,
    ledger: Ledger,
    *,
    parts: int = 0,
    rate: float = 0.0,
    replay: Path | None = None,
    begin: Callable[[int], Step] = lambda total: lambda: None,
) -> tuple[int, str]:
    """Send the unanswered requests of the plan, then seal the raw answers; returns the number of new ones and the seal.

    parts: of the plan's looks; all when 0. rate: maximum requests per second to each model. replay: another audit's
    folder, whose answers to the same requests are reused. begin: called with the number of requests.
    """
    plan, digest = read_plan(kept)
    _registered(ledger, digest)
    chosen = parts or plan.looks
    if not 1 <= chosen <= plan.looks:
        raise InputError(f"part {chosen} of a plan with {plan.looks}", fix="Name fewer with --parts, or none for all")
    with kept.locked():
        sealed = _sealed(ledger, digest)
        if sealed:
            _as_sealed(kept, sealed)
        collected = Collected(kept, plan)
        first = list(asking.questions(plan, collected, reader(ledger), chosen))
        new = 0
        with ExitStack() as stack:
            models: dict[str, Any] = {name: Replay(Folder(replay)) for name in plan.sources} if replay else {}
            for name, source in plan.sources.items() if not replay else ():
                models[name] = stack.enter_context(Client(name, source, rate))
            told = begin(len(first))
            new += client.collect(kept, first, models, told)
            second = list(asking.references(plan, collected, chosen))
            if second:
                told = begin(len(second))
                new += client.collect(kept, second, models, told)
        seal = kept.listed()
        if seal != sealed:
            ledger.look(digest, SEALED, result=seal)
        kept.publish(LISTED, MANIFEST)
    return new, seal


def _as_sealed(kept: Folder, seal: str) -> None:
    """Refuse to replace answers that were sealed: they may be added to, and not chosen anew.

    seal: the last one in the ledger. What a killed command recorded and did not publish is published.
    """
    if kept.has(LISTED) and sha256(kept.read(LISTED)) == seal:
        kept.publish(LISTED, MANIFEST)
    if not kept.has(MANIFEST) or sha256(kept.read(MANIFEST)) != seal:
        raise InputError(
            "this is not the list of answers that the ledger has sealed",
            where=str(kept.path / MANIFEST),
            fix="Restore the file from its backup: sealed answers are not chosen anew",
        )
    then, now = kept.object(MANIFEST), kept.hashes()
    for name, wanted in then.items():
        if now.get(name) == wanted or (name == SENT and _continues(kept, wanted)):
            continue
        what = "it was changed" if name in now else "it is missing"
        raise InputError(
            f"{what} since the answers were sealed",
            where=str(kept.path / name),
            fix="Restore the file from its backup: a sealed answer is not asked for again",
        )


def _continues(kept: Folder, then: str) -> bool:
    """Whether the list of requests begins with one of this SHA-256: a later run adds lines."""
    found = hashlib.sha256()
    for line in (kept.read(SENT) if kept.has(SENT) else b"").splitlines(keepends=True):
        found.update(line)
        if found.hexdigest() == then:
            return True
    return False


def run_tests(kept: Folder, ledger: Ledger) -> dict[str, Any]:
    """Run every test of the plan on the collected answers, record the look, and write the results.

    Raises InputError if answers are missing or changed, and for a second look that was not planned.
    """
    plan, digest = read_plan(kept)
    _registered(ledger, digest)
    with kept.locked():
        seal = _sealed(ledger, digest)
        if not kept.has(MANIFEST) or sha256(kept.read(MANIFEST)) != seal:
            raise InputError("the answers were never sealed", where=str(kept.path), fix="Run: clonewatch audit collect")
        for name, wrong in kept.changed():
            raise InputError(
                wrong,
                where=str(kept.path / name),
                fix="Give `clonewatch audit collect` again if it was interrupted, or restore the file from its backup",
            )
        collected = Collected(kept, plan)
        parts = _complete(plan, kept, collected)
        before = _recorded(ledger, digest)
        last = max((part for _, part in before), default=0)
        if parts < last or (parts == last and _published(plan, kept, before, parts)):
            raise InputError(
                "these answers were looked at already",
                where=f"plan {digest[:12]}, look {last}",
                fix="A second look needs a plan with looks > 1 and new answers; the existing results are kept",
            )
        results = _prepared(plan, kept, before, parts)
        if results is None:
            results = {
                "program": version("clonewatch"),
                "plan": digest,
                "sealed": seal,
                "requests": len(kept.rows(SENT)),
            }
            results |= results_of(plan, collected, reader(ledger), parts)
            kept.write(PREPARED, canonical(results) + b"\n")
        _agree(plan, results, before, parts)
        for name, (commitment, row) in rows_of(plan, results).items():
            ledger.look(digest, f"{name}/{parts}", commitment, digest_of(row))
        kept.publish(PREPARED, RESULTS)
    return results


def rows_of(plan: AuditPlan, results: Mapping[str, Any]) -> dict[str, tuple[str, dict[str, Any]]]:
    """What the ledger records of results: by name, the commitment and the row."""
    told = {test.id: (test.commitment, row) for test, row in zip(plan.tests, results["tests"], strict=True)}
    return told if results["equality"] is None else {"equality": ("", results["equality"]), **told}


def _prepared(
    plan: AuditPlan, kept: Folder, before: Mapping[tuple[str, int], str], parts: int
) -> dict[str, Any] | None:
    """The results that an interrupted run prepared, if it recorded any of them; None to compute them."""
    if not kept.has(PREPARED) or not any(part == parts for _, part in before):
        return None
    try:
        results = kept.object(PREPARED)
        _agree(plan, results, before, parts)
    except (InputError, KeyError, TypeError, ValueError):
        return None
    return results


def _agree(plan: AuditPlan, results: Mapping[str, Any], before: Mapping[tuple[str, int], str], parts: int) -> None:
    """Raise InputError if the ledger already records other results of these tests."""
    for name, (_, row) in rows_of(plan, results).items():
        if before.get((name, parts), digest_of(row)) != digest_of(row):
            raise InputError(
                f"the ledger records another result of {name}",
                where=f"look {parts}",
                fix="Repeat the test with the version of the program that began it",
            )


def _published(plan: AuditPlan, kept: Folder, before: Mapping[tuple[str, int], str], parts: int) -> bool:
    """Whether the results of a look are in place, with every record of it in the ledger."""
    try:
        results = kept.object(RESULTS)
        rows = rows_of(plan, results)
    except (InputError, KeyError, TypeError, ValueError):
        return False
    return results.get("parts") == parts and all(
        before.get((name, parts)) == digest_of(row) for name, (_, row) in rows.items()
    )


def _recorded(ledger: Ledger, digest: str) -> dict[tuple[str, int], str]:
    """The looks at a plan: the digest of the result by test and part."""
    told = {}
    for record in ledger.records():
        if record.kind == "look" and record.body["plan"] == digest:
            name, _, part = record.body["test"].partition("/")
            if part.isdecimal():
                told[name, int(part)] = str(record.body["result"])
    return told


def looked(ledger: Ledger, digest: str) -> list[int]:
    """The parts of a plan that were looked at, in order."""
    return sorted({part for _, part in _recorded(ledger, digest)})


def _sealed(ledger: Ledger, digest: str) -> str:
    """The last seal of the answers to a plan."""
    seals = [
        r.body["result"]
        for r in ledger.records()
        if r.kind == "look" and r.body["plan"] == digest and r.body["test"] == SEALED
    ]
    return str(seals[-1]) if seals else ""


def _is_registered(ledger: Ledger, digest: str) -> bool:
    return any(r.kind == "plan" and r.body["digest"] == digest for r in ledger.records())


def _registered(ledger: Ledger, digest: str) -> None:
    if not _is_registered(ledger, digest):
        raise InputError(
            "the ledger does not know this plan",
            where=f"{ledger.path}, {digest[:12]}",
            fix="Name the ledger in which it was registered: --ledger FILE, or give `clonewatch audit plan` again if it"
            " was interrupted. A changed plan counts as another plan",
        )


def _complete(plan: AuditPlan, kept: Folder, collected: Collected) -> int:
    """How many parts are complete. Raises InputError for none."""

    def whole(part: int) -> bool:
        held = [i for i in range(plan.prompts) if plan.part(i) == part]
        return all(kept.has(f"{RAW}/{name}/answer-{i:05d}.json") for i in held for name in plan.sources)

    parts = next((part for part in range(plan.looks) if not whole(part)), plan.looks)
    if not parts:
        raise InputError(
            "not every request is answered yet", where=str(kept.path), fix="Continue with: clonewatch audit collect"
        )
    return parts
