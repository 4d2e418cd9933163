"""What differs between operators, drawn for every seed."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Parameters:
    """What differs between operators. Every range is wide on purpose: none was fitted to a scan."""

    days: int
    weekday: int
    trusted_share: float
    mistaken_trust: float
    unlogged: float
    blanks: float
    skeleton_discount: float
    skeleton_strength: float
    echo: float
    topics: float
    taste: float
    communities: int
    excitation: float
    lag_shape: float
    lag_seconds: float
    evening: float
    weekend: float
    volume_spread: float
    churn_days: float
    phone_digits: int
    carrier_size: float
    cheap_phones: float
    ipv6: float
    errors: float


def draw_parameters(rng: np.random.Generator) -> Parameters:
    """One world's parameters.

    >>> 0.03 <= draw_parameters(np.random.default_rng(1)).trusted_share <= 0.4
    True
    """
    even = rng.uniform
    return Parameters(
        days=int(rng.integers(12, 43)),
        weekday=int(rng.integers(7)),
        # An operator's trusted set: from a handful of contracts to every old paying customer.
        trusted_share=float(np.exp(even(np.log(0.03), np.log(0.40)))),
        # In some worlds a campaign has infiltrated the trusted set.
        mistaken_trust=float(even(0, 0.05)) if even() < 0.3 else 0.0,
        # Probability that an optional column is absent, and that a value of a present one is blank.
        unlogged=float(even(0.0, 0.35)),
        blanks=float(even(0.0, 0.15)),
        skeleton_discount=float(even(0.55, 0.95)),
        skeleton_strength=float(np.exp(even(np.log(20), np.log(3000)))),
        echo=float(even(0.05, 0.5)),
        topics=float(np.exp(even(np.log(30), np.log(600)))),
        taste=float(np.exp(even(np.log(0.5), np.log(12)))),
        communities=int(rng.integers(6, 40)),
        excitation=float(even(0.3, 0.85)),
        lag_shape=float(even(0.35, 0.95)),
        lag_seconds=float(np.exp(even(np.log(15), np.log(400)))),
        evening=float(even(0.1, 0.9)),
        weekend=float(even(0.3, 1.3)),
        volume_spread=float(even(0.8, 1.8)),
        churn_days=float(np.exp(even(np.log(15), np.log(400)))),
        phone_digits=int(rng.integers(0, 5)),
        carrier_size=float(np.exp(even(np.log(6), np.log(80)))),
        cheap_phones=float(even(0.05, 0.5)),
        ipv6=float(even(0, 0.5)),
        errors=float(np.exp(even(np.log(0.001), np.log(0.03)))),
    )
