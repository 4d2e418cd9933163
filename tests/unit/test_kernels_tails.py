"""Tails of discrete distributions: those of the statistics of scipy, without loading them."""

import subprocess
import sys

import numpy as np
import pytest
from scipy.stats import binom, nbinom

from clonewatch.kernels.tails import binomial_at_most, binomial_more_than, negative_binomial_at_most

DRAW = np.random.default_rng(5)
N = DRAW.integers(0, 5000, 4000)
HITS = DRAW.integers(-2, 5002, 4000)


@pytest.mark.parametrize("share", [0.0, 1e-3, 0.2, 0.5, 0.97, 1.0])
def test_a_binomial_tail_is_that_of_scipy(share: float) -> None:
    np.testing.assert_allclose(binomial_at_most(HITS, N, share), binom.cdf(HITS, N, share), rtol=1e-12, atol=1e-300)
    pairs = list(zip(HITS.tolist(), N.tolist(), strict=True))[:500]
    own = [binomial_more_than(hits, n, share) for hits, n in pairs]
    np.testing.assert_allclose(own, [binom.sf(hits, n, share) for hits, n in pairs], rtol=1e-12, atol=1e-300)


@pytest.mark.parametrize("shape", [0.01, 0.5, 3.0, 100.0])
def test_a_negative_binomial_tail_is_that_of_scipy(shape: float) -> None:
    share = DRAW.uniform(1e-6, 1.0, len(HITS))
    own = negative_binomial_at_most(abs(HITS), shape, share)
    np.testing.assert_allclose(own, nbinom.cdf(abs(HITS), shape, share), rtol=1e-12, atol=1e-300)


def test_a_scan_and_an_audit_load_neither_statistics_nor_optimisation() -> None:
    """They take a second of every command, among them those that end at once."""
    code = """
import importlib, pkgutil, sys
from clonewatch import audit
from clonewatch.pipeline import scan
from clonewatch.pipeline.detection.signals import SIGNALS, TESTS
for shelf in (SIGNALS, TESTS):
    for name in shelf.names():
        shelf.load(name)
for module in pkgutil.iter_modules(audit.__path__, "clonewatch.audit."):
    importlib.import_module(module.name)
print([m for m in ("scipy.stats", "scipy.optimize") if m in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
