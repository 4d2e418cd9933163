"""Secrets by kind: how each is drawn and committed, and a committed watermark as its keyed function."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import msgspec

from clonewatch.audit import canary, prf
from clonewatch.audit.canary import Canary
from clonewatch.audit.json_text import canonical, parsed
from clonewatch.audit.ledger import Issued, Ledger, Usage
from clonewatch.audit.plan import PlannedTest
from clonewatch.audit.prf import Blake2, Rule, Watermark
from clonewatch.model.errors import InputError, KeyFileError

Publish = Callable[[Issued], None]

_BYTES = 32
# What students learn: docs/audit.md. With green lists, wider windows leave no trace.
WIDTHS: dict[Rule, int] = {"kgw": 1, "gumbel": 2}


def _nothing(_: Issued) -> None:
    """Nothing is left to publish."""


def commit_watermark(
    ledger: Ledger, rule: Rule, width: int, gamma: float, usage: Usage, publish: Publish = _nothing
) -> str:
    """Draw and commit a watermark key for our own function; returns the commitment."""
    Blake2(bytes(_BYTES), width)  # refuses a width that cannot be
    public = {"prf": Blake2.name, "rule": rule, "width": width, "gamma": gamma}
    return ledger.commit("watermark", public=public, usage=usage, publish=publish)


def commit_vllm(ledger: Ledger, config: Path, usage: Usage, publish: Publish = _nothing) -> str:
    """Commit the key of a vLLM configuration; returns the commitment. Raises an InputError that never shows the key."""
    told = prf.vllm_config(config)
    served = prf.vllm_watermark(told, where=str(config))
    public = {"prf": served.prf.name, "rule": served.rule, "width": served.prf.width, "gamma": served.gamma}
    return ledger.commit("watermark", canonical(told), public=public, usage=usage, publish=publish)


def commit_twins(ledger: Ledger, usage: Usage, publish: Publish = _nothing) -> str:
    """Draw and commit the coins of twin answers; returns the commitment."""
    return ledger.commit("twin", usage=usage, publish=publish)


def commit_canaries(
    ledger: Ledger,
    count: int,
    length: int,
    template: str,
    usage: Usage,
    publish: Callable[[Issued, list[Canary]], None] = lambda *_: None,
) -> tuple[str, list[Canary]]:
    """Draw and commit a seed of canaries; returns the commitment and the records to release."""
    canary.check_length(length)
    canary.mint(count, bytes(_BYTES), length, template)  # refuses what cannot be minted, before anything is recorded
    minted: list[Canary] = []

    def release(issued: Issued) -> None:
        minted.extend(canary.mint(count, issued.secret, length, template))
        publish(issued, minted)

    public = {"count": count, "length": length, "template": template}
    return ledger.commit("canary", public=public, usage=usage, publish=release), minted


def watermark_of(test: PlannedTest, secret: bytes) -> Watermark:
    """A committed watermark as it was served."""
    public = test.public
    if public["prf"] == Blake2.name:
        return Watermark(Blake2(secret, public["width"]), public["rule"], public["gamma"])
    shared = public["prf"] != prf.VllmPhiloxSingle.name
    return prf.vllm_watermark(parsed(secret), where=test.commitment, shared=shared)


def mappings(test: PlannedTest, secret: Callable[[str], bytes]) -> dict[str, Watermark]:
    """The watermarks that a committed key can mean, by the name of the mapping: vLLM published two under one name."""
    held = secret(test.commitment)
    names = {test.public["prf"]: None}
    if test.public["prf"] == prf.VllmPhilox.name:
        names[prf.VllmPhiloxSingle.name] = None
    return {n: watermark_of(msgspec.structs.replace(test, public={**test.public, "prf": n}), held) for n in names}


def reader(ledger: Ledger) -> Callable[[str], bytes]:
    """A function that returns the secret of a commitment, from the file of secrets or as revealed in the ledger."""
    revealed: dict[str, dict[str, Any]] = {r.body["commitment"]: r.body for r in ledger.records() if r.kind == "reveal"}

    def secret(commitment: str) -> bytes:
        if commitment in revealed:
            return bytes.fromhex(revealed[commitment]["secret"])
        if not ledger.secrets_path.exists():
            raise KeyFileError(
                "this secret is not here, and the ledger does not reveal it",
                where=commitment[:12],
                fix="Ask the owner of the ledger to reveal it: clonewatch audit reveal",
            )
        return ledger.secret(commitment)

    return secret


def resolve(ledger: Ledger, beginning: str, kind: Literal["watermark", "canary", "twin"] | None = None) -> str:
    """The only commitment that begins so. Raises InputError if there is none or several."""
    listed = [r.body for r in ledger.records() if r.kind == "commit" and kind in {None, r.body["secret"]}]
    found = [b["commitment"] for b in listed if b["commitment"].startswith(beginning)]
    if len(found) != 1:
        raise InputError(
            f"{len(found)} commitments begin with {beginning!r}",
            where=str(ledger.path),
            fix="Give so many characters of a commitment of this ledger that only one begins with them",
        )
    return str(found[0])
