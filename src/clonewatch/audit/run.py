"""The steps of an audit in their order: plan, collect, test. Each writes into its folder and into the ledger."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from clonewatch.audit import answers, client, folder, requests, samples, tokenizing, watermark
from clonewatch.audit.client import Client, Replay
from clonewatch.audit.collected import Collected
from clonewatch.audit.committing import reader, watermark_of
from clonewatch.audit.folder import MANIFEST, PLAN, PROMPTS, RAW, RESULTS, TWINS, Folder
from clonewatch.audit.ledger import Ledger, canonical, digest_of
from clonewatch.audit.plan import VERSION, AuditPlan, PlannedTest, Settings, converted, read_settings, sha256, sought
from clonewatch.audit.requests import Request
from clonewatch.audit.run_tests import ROLES, results_of
from clonewatch.model.errors import InputError

Step = Callable[[], None]

# The ledger's name for the seal of raw answers; looks are named by test and part.
SEALED = "collect"
_PAIR = ("request_id", "prompt", "first", "second")


def make_plan(settings_file: Path, out: Path) -> tuple[AuditPlan, str]:
    """Check the settings, copy what they name, and register the plan; returns it and its digest.

    Raises InputError for anything that would invalidate the audit: a key or tokenizer that our own served text does not
    confirm, a repeated prompt, a revealed secret.
    """
    settings = read_settings(settings_file)
    near = settings_file.parent
    ledger = Ledger(near / settings.ledger)
    broken = ledger.verify()
    if broken:
        raise InputError(f"the ledger does not hold: {broken[0].what}", where=f"{ledger.path}:{broken[0].line}")
    if out.exists() and any(out.iterdir()):
        raise InputError("this folder is not empty", where=str(out), fix="Use a separate folder for each audit")
    tokenizer = tokenizing.read(near / settings.tokenizer)
    prompts = _prompts(near / settings.prompts)
    pairs = _pairs(near / settings.twins) if settings.twins else []
    tests = sought(ledger, settings.secrets, set(), bool(pairs))
    if settings.served:
        told = list(folder.read_rows(near / settings.served))
        tests = [_confirmed(test, told, tokenizer, ledger) for test in tests]
    _agree(settings, tests, pairs, len(prompts))
    kept = Folder(out)
    files = {PROMPTS: b"".join(canonical({"prompt": p}) + b"\n" for p in prompts)}
    ending = ".json" if Path(settings.tokenizer).suffix == ".json" else ".txt"
    files["tokenizer" + ending] = (near / settings.tokenizer).read_bytes()
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
    for name, data in files.items():
        kept.write(name, data)
    kept.write(PLAN, canonical(plan.to_json()) + b"\n")
    return plan, ledger.plan(plan.to_json())


def read_plan(kept: Folder) -> tuple[AuditPlan, str]:
    """The plan of a folder, and its digest."""
    told = kept.object(PLAN)
    plan = converted(told, AuditPlan, str(kept.path / PLAN))
    if plan.version != VERSION:
        raise InputError(f"a plan of version {plan.version}; this program reads {VERSION}", where=str(kept.path / PLAN))
    return plan, digest_of(told)


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
        raise InputError(f"part {chosen} of a plan with {plan.looks}")
    collected = Collected(kept, plan)
    first = list(_questions(plan, collected, ledger, chosen))
    new = 0
    with ExitStack() as stack:
        models: dict[str, Any] = {name: Replay(Folder(replay)) for name in plan.sources} if replay else {}
        for name, source in plan.sources.items() if not replay else ():
            models[name] = stack.enter_context(Client(name, source, rate))
        told = begin(len(first))
        new += client.collect(kept, first, models, told)
        if "ours" in plan.sources:
            second = list(_references(plan, collected, chosen))
            told = begin(len(second))
            new += client.collect(kept, second, models, told)
    seal = kept.seal()
    if seal != _sealed(ledger, digest):
        ledger.look(digest, SEALED, result=seal)
    return new, seal


def run_tests(kept: Folder, ledger: Ledger) -> dict[str, Any]:
    """Run every test of the plan on the collected answers, record the look, and write the results.

    Raises InputError if answers are missing or changed, and for a second look that was not planned.
    """
    plan, digest = read_plan(kept)
    _registered(ledger, digest)
    seal = _sealed(ledger, digest)
    if not kept.has(MANIFEST) or sha256(kept.read(MANIFEST)) != seal:
        raise InputError("the answers were never sealed", where=str(kept.path), fix="Run: clonewatch audit collect")
    for name, wrong in kept.changed():
        raise InputError(wrong, where=str(kept.path / name), fix="Restore the file from its backup")
    collected = Collected(kept, plan)
    parts = _complete(plan, kept, collected)
    before = looked(ledger, digest)
    if before and parts <= max(before):
        raise InputError(
            "these answers were looked at already",
            where=f"plan {digest[:12]}, look {max(before)}",
            fix="A second look needs a plan with looks > 1 and new answers; the existing results are kept",
        )
    results: dict[str, Any] = {
        "program": version("clonewatch"),
        "plan": digest,
        "sealed": seal,
        "requests": len(kept.rows(folder.SENT)),
    }
    results |= results_of(plan, collected, reader(ledger), parts)
    kept.write(RESULTS, canonical(results) + b"\n")
    if results["equality"] is not None:
        ledger.look(digest, f"equality/{parts}", result=digest_of(results["equality"]))
    for test, row in zip(plan.tests, results["tests"], strict=True):
        ledger.look(digest, f"{test.id}/{parts}", test.commitment, digest_of(row))
    return results


def looked(ledger: Ledger, digest: str) -> list[int]:
    """The parts of a plan that were looked at, in order."""
    names = [r.body["test"] for r in ledger.records() if r.kind == "look" and r.body["plan"] == digest]
    return sorted({int(name.partition("/")[2]) for name in names if "/" in name})


def _sealed(ledger: Ledger, digest: str) -> str:
    """The last seal of the answers to a plan."""
    seals = [
        r.body["result"]
        for r in ledger.records()
        if r.kind == "look" and r.body["plan"] == digest and r.body["test"] == SEALED
    ]
    return str(seals[-1]) if seals else ""


def _registered(ledger: Ledger, digest: str) -> None:
    if all(r.kind != "plan" or r.body["digest"] != digest for r in ledger.records()):
        raise InputError(
            "the ledger does not know this plan",
            where=f"{ledger.path}, {digest[:12]}",
            fix="Name the ledger in which it was registered: --ledger FILE. A changed plan counts as another plan",
        )


def _prompts(place: Path) -> list[str]:
    prompts = []
    for row in folder.read_rows(place):
        if not isinstance(row.get("prompt"), str) or not row["prompt"].strip():
            raise InputError('a row has no text in "prompt"', where=str(place))
        prompts.append(row["prompt"])
    if not prompts:
        raise InputError("there are no prompts", where=str(place))
    if len(set(prompts)) < len(prompts):
        raise InputError(
            "a prompt occurs twice", where=str(place), fix="List each prompt once; `answers` sets the number of answers"
        )
    return prompts


def _pairs(place: Path) -> list[dict[str, Any]]:
    pairs = []
    for row in folder.read_rows(place):
        if any(not isinstance(row.get(name), str) or not row[name] for name in _PAIR):
            raise InputError(f"a pair lacks one of {', '.join(_PAIR)}", where=str(place))
        pairs.append({name: row[name] for name in (*_PAIR, "commitment") if name in row})
    if len({p["request_id"] for p in pairs}) < len(pairs):
        raise InputError("a request_id occurs twice", where=str(place))
    return pairs


def _confirmed(
    test: PlannedTest, served: list[dict[str, Any]], tokenizer: tokenizing.Tokenizer, ledger: Ledger
) -> PlannedTest:
    """A test, confirmed on text that we served with its watermark. Raises InputError if the text does not carry it."""
    rows = [row for row in served if test.commitment.startswith(str(row.get("commitment", "")))]
    if test.test != "watermark" or not rows:
        return test
    keyed = watermark_of(test, ledger.secret(test.commitment))
    texts = [str(row.get("text", "")) for row in rows]
    asked = [str(row.get("prompt", "")) for row in rows]
    watermark.confirm(samples.from_texts(texts, tokenizer.encode, asked), keyed)
    return PlannedTest(
        **{name: getattr(test, name) for name in test.__struct_fields__ if name != "confirmed"}, confirmed=True
    )


def _agree(settings: Settings, tests: list[PlannedTest], pairs: list[dict[str, Any]], prompts: int) -> None:
    """Refuse inconsistent settings."""
    kinds = {test.test for test in tests}
    if settings.looks > 1 and kinds != {"watermark"}:
        raise InputError(
            "only watermark tests may look more than once",
            fix="List only their commitments in secrets, or set looks = 1",
        )
    if settings.looks > prompts:
        raise InputError(f"{settings.looks} looks at {prompts} prompts")
    for test in tests:
        if test.test == "twin" and not requests.pairs_of(test, pairs, tests):
            raise InputError(f"there is no pair for the coins {test.commitment[:12]}", fix="Name a file in twins")


def _questions(plan: AuditPlan, collected: Collected, ledger: Ledger, parts: int) -> Iterator[Request]:
    yield from requests.answers(plan, collected.prompts, parts)
    secret = reader(ledger)
    for test in plan.tests:
        if test.test == "twin":
            yield from requests.twins(plan, test, requests.pairs_of(test, collected.twins, plan.tests))
        elif test.test == "canary":
            yield from requests.canaries(plan, test, requests.minted(test, secret))


def _references(plan: AuditPlan, collected: Collected, parts: int) -> Iterator[Request]:
    """The requests to our own model about the answers of the others."""
    for i, prompt in enumerate(collected.prompts):
        for name in ROLES:
            if plan.part(i) < parts:
                told = [a.text for a in answers.read(collected.raw(name, f"answer-{i:05d}")).answers]
                if told:
                    yield requests.reference(plan, name, i, prompt, told)


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
