"""The pages on gateways, typed with the real software: seen shadow, refusal, lift, and service without the check."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from tests.path.gateway_walk import ROOT, Walk

PAGES = ROOT / "docs" / "using" / "gateways"
# Where programs are that the build installs for real logs.
REAL = Path(os.environ.get("REAL_PYTHON", ROOT / ".venv-real" / "bin" / "python")).parent
NGINX = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
# LiteLLM takes half a minute to come up twice: `tests/real/measure.py` asks for it.
NO_LITELLM = "CLONEWATCH_WALK_LITELLM" not in os.environ
# On a loaded machine a right answer may be late; and the seconds of the canary are waited for.
PATIENT = (r"\b(?:50|100)ms|\b0\.1s", "9s")


def seconds(count: str) -> tuple[str, str]:
    """The canary is limited for some seconds."""
    return r"(?<=seconds = )20|(?<=for )20(?= seconds)", count


@pytest.mark.parametrize(
    ("name", "limited"),
    [
        pytest.param("nginx", "15", marks=pytest.mark.skipif(NGINX is None, reason="nginx is not installed")),
        pytest.param(
            "envoy", "15", marks=pytest.mark.skipif(not (REAL / "envoy").exists(), reason=f"no envoy in {REAL}")
        ),
        pytest.param(
            "envoy-ext-proc",
            "15",
            marks=pytest.mark.skipif(not (REAL / "envoy").exists(), reason=f"no envoy in {REAL}"),
        ),
        pytest.param("litellm", "12", marks=pytest.mark.skipif(NO_LITELLM, reason="tests/real/measure.py walks it")),
    ],
)
def test_a_gateway_is_seen_to_refuse_to_lift_and_to_serve_on_without_the_check(
    name: str, limited: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    walk = Walk(tmp_path / "gateway", name.partition("-")[0], REAL, PATIENT, seconds(limited))
    try:
        walk.page(PAGES / f"{name}.md", monkeypatch)
    finally:
        walk.stop()
