"""The pages on gateways, typed with the real software: seen shadow, refusal, lift, and service without the check."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from tests.path.gateway_walk import ROOT, Walk

PAGES = ROOT / "docs" / "using" / "gateways"
NGINX = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
# On a loaded machine a right answer may be late; and the seconds of the canary are waited for.
PATIENT = ((r"\b(?:50|100)ms", "9s"), (r"seconds = 20|for 20 seconds", lambda found: found[0].replace("20", "5")))


@pytest.mark.skipif(NGINX is None, reason="nginx is not installed")
def test_nginx_is_seen_to_refuse_to_lift_and_to_serve_on_without_the_check(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    walk = Walk(tmp_path / "gateway", "nginx", *PATIENT)
    try:
        walk.page(PAGES / "nginx.md", monkeypatch)
    finally:
        walk.stop()
