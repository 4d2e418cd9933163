"""Honest crowds: strangers or colleagues who share what campaigns share. The threat note names them as look-alikes."""

from __future__ import annotations

from collections.abc import Callable

from evals.third_generator import crowds_of_firms as firms
from evals.third_generator import crowds_of_people as people
from evals.third_generator import crowds_of_software as software
from evals.third_generator import ranges
from evals.third_generator.world import World

# Sizes of the crowds; assumed, from a seminar to a popular app.
SIZES = {
    "class": (25, 120),
    "hackathon": (30, 150),
    "office": (10, 60),
    "aggregator": (8, 40),
    "coding_agent": (40, 200),
    "rag_app": (30, 150),
    "evaluation_lab": (3, 12),
    "monitor": (5, 30),
    "ci_fleet": (10, 60),
    "annotators": (15, 80),
    "privacy_vpn": (40, 200),
    "returning": (10, 40),
    "agency": (8, 40),
    "translation_bureau": (10, 50),
}

KINDS: dict[str, Callable[[World, int], None]] = {
    "class": people.school_class,
    "hackathon": people.hackathon,
    "office": firms.office,
    "aggregator": software.aggregator,
    "coding_agent": software.coding_agents,
    "rag_app": software.rag_app,
    "evaluation_lab": firms.evaluation_lab,
    "monitor": software.monitors,
    "ci_fleet": software.ci_fleet,
    "annotators": firms.annotators,
    "privacy_vpn": people.privacy_vpn,
    "returning": people.returning,
    "agency": firms.agency,
    "translation_bureau": firms.translation_bureau,
}


def gather(world: World, n: int = ranges.CROWDS) -> list[str]:
    """Add n kinds of crowd, drawn without replacement; returns their names."""
    chosen = sorted(world.random.sample(sorted(KINDS), n))
    for kind in chosen:
        KINDS[kind](world, round(world.log_uniform(*SIZES[kind])))
    return chosen
