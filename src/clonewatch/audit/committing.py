"""Secrets by kind: how each is drawn and committed, and a committed watermark as its keyed function."""

from __future__ import annotations

import json
import secrets as entropy
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from clonewatch.audit import canary, prf
from clonewatch.audit.canary import Canary
from clonewatch.audit.ledger import Ledger, Usage, canonical
from clonewatch.audit.plan import PlannedTest
from clonewatch.audit.prf import Blake2, Rule, Watermark
from clonewatch.model.errors import InputError, KeyFileError

_BYTES = 32
# What students learn: docs/audit.md. With green lists, wider windows leave no trace.
WIDTHS: dict[Rule, int] = {"kgw": 1, "gumbel": 2}


def commit_watermark(ledger: Ledger, rule: Rule, width: int, gamma: float, usage: Usage) -> str:
    """Draw and commit a watermark key for our own function; returns the commitment."""
    secret = entropy.token_bytes(_BYTES)
    public = {"prf": Blake2(secret, width).name, "rule": rule, "width": width, "gamma": gamma}
    return ledger.commit("watermark", secret, public=public, usage=usage)


def commit_vllm(ledger: Ledger, config: Path, usage: Usage) -> str:
    """Commit the key of a vLLM configuration; returns the commitment. Raises an InputError that never shows the key."""
    served = prf.read_vllm(config)
    told = json.loads(config.read_text(encoding="utf-8"))
    public = {"prf": served.prf.name, "rule": served.rule, "width": served.prf.width, "gamma": served.gamma}
    return ledger.commit("watermark", canonical(told), public=public, usage=usage)


def commit_twins(ledger: Ledger, usage: Usage) -> str:
    """Draw and commit the coins of twin answers; returns the commitment."""
    return ledger.commit("twin", entropy.token_bytes(_BYTES), usage=usage)


def commit_canaries(ledger: Ledger, count: int, length: int, template: str, usage: Usage) -> tuple[str, list[Canary]]:
    """Draw and commit a seed of canaries; returns the commitment and the records to release."""
    seed = entropy.token_bytes(_BYTES)
    minted = canary.mint(count, seed, length, template)
    public = {"count": count, "length": length, "template": template}
    return ledger.commit("canary", seed, public=public, usage=usage), minted


def watermark_of(test: PlannedTest, secret: bytes) -> Watermark:
    """A committed watermark as it was served."""
    public = test.public
    if public["prf"] == Blake2.name:
        return Watermark(Blake2(secret, public["width"]), public["rule"], public["gamma"])
    return prf.vllm_watermark(json.loads(secret), where=test.commitment)


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
        raise InputError(f"{len(found)} commitments begin with {beginning!r}", where=str(ledger.path))
    return str(found[0])
