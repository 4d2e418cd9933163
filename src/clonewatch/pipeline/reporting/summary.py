"""Builds the content of `scan.json`."""

from __future__ import annotations

import platform
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

from clonewatch.campaigns import fusion, review
from clonewatch.campaigns.calibration import FALSE_DISCOVERIES, Calibration
from clonewatch.model.version import __version__
from clonewatch.pipeline.detection.signals import signals
from clonewatch.pipeline.detection.stages import Calibrated, Linked, Ranked
from clonewatch.pipeline.intake.deduplicate import Repeats
from clonewatch.pipeline.intake.staged import Intake
from clonewatch.pipeline.intake.staging import STAGED_FROM
from clonewatch.pipeline.progress.stage_timer import StageTimer
from clonewatch.pipeline.reporting import provenance
from clonewatch.pipeline.steps import StepRunner
from clonewatch.ports.signal import Signal

SUMMARY_VERSION = "clonewatch.scan.v1"
# Packages whose versions may change a result, beside those of the engine.
_PACKAGES = ("pyarrow", "numpy", "scipy", "numba", "graspologic-native")


def summarise(
    runner: StepRunner, intake: Intake, repeats: Repeats, ranked: Ranked, calibration: Calibration, timer: StageTimer
) -> dict[str, Any]:
    """What was read, with which versions and settings, at what cost, and what groups were compared with."""
    found = ranked.calibrated
    merged = found.judged.merged
    linked, exchanges = merged.linked, runner.rows["exchanges"]
    trusted, packages = linked.entities.trusted, (*runner.engine.packages, *_PACKAGES)
    return {
        "schema": SUMMARY_VERSION,
        "version": __version__,
        "window": {"first": _iso(intake.first_ts), "last": _iso(intake.last_ts)},
        **provenance.folded(intake.inputs),
        "settings": dict(intake.chosen),
        "versions": {"python": platform.python_version()} | {p: version(p) for p in packages},
        "counts": {
            "read": intake.read,
            "rejected": intake.rejected,
            "ended_early": len(intake.ended),
            "duplicate": intake.read - exchanges,
            "completed": repeats.completed,
            "shared_id": repeats.shared,
            "kept": exchanges,
            "accounts": intake.accounts,
            "entities": linked.entities.table.num_rows,
            "trusted": trusted.number,
            **_outcomes(ranked),
        },
        "dropped_values": [dict(one) for one in intake.dropped],
        "trust": {"source": trusted.source, "share": round(trusted.share, 6), "count": trusted.number},
        "stages": timer.stages,
        "peak_memory_mb": timer.peak_memory_mb(),
        "signals": [_described(c, intake.filled, linked) for c in signals()],
        "chance": list(linked.chance),
        "calibration": calibration.describe(),
        "linked_groups": [[g.trust, g.entities, g.threshold_ratio] for g in found.groups],
        "clustering_seeds": merged.clustering.stability.seeds,
        "thresholds": {
            "flag_bits": fusion.FLAG_BITS,
            "family_bits": fusion.FAMILY_BITS,
            "link_bits": fusion.LINK_BITS,
            "families": fusion.LEAST_FAMILIES[trusted.source],
            "prior_bits": review.PRIOR_BITS,
            "review_bits": review.REVIEW_BITS,
            "max_rejected": intake.chosen.get("max_rejected"),
            "max_repeated": intake.chosen.get("max_repeated"),
            "false_discoveries": found.bound,
        },
        "warnings": [*intake.warnings, *repeats.warnings(intake.read), *_unresolved(found)],
    }


def _outcomes(ranked: Ranked) -> dict[str, int]:
    """How many reported groups have each outcome."""
    held = Counter(standing.outcome for standing in ranked.standings.values())
    return {outcome: held[outcome] for outcome in review.OUTCOMES}


def _unresolved(found: Calibrated) -> list[str]:
    """The warning where the false discovery rate cannot be bounded as intended."""
    if found.bound <= FALSE_DISCOVERIES:
        return []
    return [
        f"{len(found.groups):,} linked groups were compared with too few calibration groups: false discoveries are"
        f" bounded at {found.bound:.0%}, not at {FALSE_DISCOVERIES:.0%}. `clonewatch calibrate` on a quiet period"
        " of yours adds some."
    ]


def _described(signal: Signal, filled: Mapping[str, int], linked: Linked) -> dict[str, Any]:
    """Whether the log has what a signal needs, and what the signal found."""
    lacking = [[n for n in needs if not filled.get(STAGED_FROM.get(n, n))] for needs in signal.needs]
    return {
        "name": signal.name,
        "kind": signal.kind,
        "family": signal.card.family,
        "used": any(not missing for missing in lacking),
        "missing": min(lacking, key=len) if lacking else [],
        "attributes": linked.rare.get(signal.name),
    }


def _iso(microseconds: int) -> str:
    return datetime.fromtimestamp(microseconds / 1e6, UTC).isoformat()
