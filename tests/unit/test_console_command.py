"""The command that opens the console, where it is set up wrongly."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.unit.cases_stand import filled
from typer.testing import CliRunner

from clonewatch.cli.main import app


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--url", "http://console.example"], "in the clear"),
        (["--oidc-issuer", "https://idp.example"], "not fully named"),
        (["--host", "192.0.2.1"], "cannot listen"),
        (["nowhere"], "no such folder"),
        (["--log", "x"], "are about a result"),
        (["--prices", "x"], "are about a result"),
        (["--audit", "x"], "are about a result"),
        (["--host", "0.0.0.0"], "in the clear"),  # noqa: S104
    ],
)
def test_a_set_up_that_cannot_be_is_refused_in_words(tmp_path: Path, words: list[str], said: str) -> None:
    filled(str(tmp_path / "cases.db"))
    done = CliRunner().invoke(app, ["console", "--store", str(tmp_path / "cases.db"), "--port", "0", *words])
    assert done.exit_code == 2 and said in done.output
