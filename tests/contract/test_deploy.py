"""Files to run a gateway with: what they name exists, and nothing in them runs as root or writes elsewhere.

No container is built here, and no unit started: `systemd-analyze verify` reads the units where it is installed.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from tests.unit.gateway_stand import KEYS, NOW, entry, published

from clonewatch.cli.main import app
from clonewatch_gateway import Facts, Follower, decide
from clonewatch_gateway.actions.budget import ACTION
from clonewatch_gateway.main import _parser
from clonewatch_gateway.metrics import Metrics
from clonewatch_gateway.redis_counters import RedisMinutes, connected

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy" / "gateway"
UNITS = sorted(DEPLOY.glob("*.service"))
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))
# What Prometheus itself adds to each sample.
ADDED = {"instance", "job"}
_NAME = re.compile(r"\bclonewatch_\w+")
_LABELS = re.compile(r"(?:by|without) \(([^)]*)\)|(\w+)(?:=~|!=|!~|=)\"")


@pytest.fixture(scope="module")
def counted(tmp_path_factory: pytest.TempPathFactory) -> tuple[set[str], set[str]]:
    """The names and labels of everything that a gateway counts."""
    folder = tmp_path_factory.mktemp("list")
    published(folder, {"a": entry("suspend"), "b": entry("budget", mode="shadow")})
    follower, metrics = Follower(folder, KEYS), Metrics()
    for account in ("a", "b", "c"):
        metrics.count(decide(account, Facts(10**6), follower.current, NOW))
    text = metrics.text(follower, NOW, RedisMinutes(connected("redis://127.0.0.1:1/0")))
    assert ACTION.name in text
    return set(re.findall(r"^(clonewatch_\w+)", text, re.M)), set(re.findall(r'[{,](\w+)="', text))


def expressions() -> list[tuple[str, str]]:
    board = json.loads((DEPLOY / "grafana.json").read_text(encoding="utf-8"))
    found = [(panel["title"], target["expr"]) for panel in board["panels"] for target in panel["targets"]]
    rules = yaml.safe_load((DEPLOY / "alerts.yaml").read_text(encoding="utf-8"))
    return found + [(rule["alert"], rule["expr"]) for group in rules["groups"] for rule in group["rules"]]


def test_dashboard_and_alerts_name_what_a_gateway_counts_and_all_of_it_is_shown(
    counted: tuple[set[str], set[str]],
) -> None:
    names, labels = counted
    shown = set()
    for where, expression in expressions():
        used = set(_NAME.findall(expression))
        assert used and used <= names, (where, used - names)
        pairs = _LABELS.findall(expression)
        mine = {label.strip() for by, one in pairs for label in (by.split(",") if by else [one])}
        assert mine <= labels | ADDED, (where, mine)
        assert expression.count("(") == expression.count(")") and expression.count("{") == expression.count("}")
        shown |= used
    assert shown == names


def test_a_dashboard_is_what_grafana_takes() -> None:
    board = json.loads((DEPLOY / "grafana.json").read_text(encoding="utf-8"))
    ids = [panel["id"] for panel in board["panels"]]
    assert len(set(ids)) == len(ids) and {one["name"] for one in board["templating"]["list"]} == {"source", "instance"}
    places = [(p["gridPos"]["x"], p["gridPos"]["y"], p["gridPos"]["w"], p["gridPos"]["h"]) for p in board["panels"]]
    assert all(x + w <= 24 for x, _, w, _ in places)
    for number, (x, y, w, h) in enumerate(places):
        for a, b, c, d in places[:number]:
            assert x >= a + c or a >= x + w or y >= b + d or b >= y + h, "two panels lie on each other"


def commands() -> list[tuple[str, list[str]]]:
    """The commands of units and containers, by where they stand: the program's name, then its words."""
    found = []
    for unit in UNITS:
        (line,) = re.findall(r"^ExecStart=(.*)$", unit.read_text(encoding="utf-8"), re.M)
        program, *words = line.split()
        found.append((unit.name, [Path(program).name, *words]))
    for name, service in COMPOSE["services"].items():
        program = {"clonewatch-gateway": "clonewatch-gateway", "clonewatch-publisher": "clonewatch"}.get(
            service["image"]
        )
        if program:
            found.append((name, [program, *service["command"]]))
    return found


@pytest.mark.parametrize(("where", "words"), commands(), ids=lambda one: one if isinstance(one, str) else "")
def test_a_command_has_the_options_that_it_is_given(where: str, words: list[str]) -> None:
    program, *rest = words
    if program == "clonewatch-gateway":
        given = _parser().parse_args(rest)
        assert given.command == "check" and given.memory and given.shared, where
        return
    group, command, *more = rest
    known: Any = typer.main.get_command(app)
    options = {one for parameter in known.commands[group].commands[command].params for one in parameter.opts}
    used = {word.partition("=")[0] for word in more if word.startswith("--")}
    assert used <= options and "--follow" in used, where


def test_containers_run_without_root_on_a_file_system_that_is_read_only() -> None:
    for name, service in COMPOSE["services"].items():
        assert service["read_only"] and service["cap_drop"] == ["ALL"] and "privileged" not in service, name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", ())), name
        for volume in service.get("volumes", ()):
            source = volume.split(":")[0]
            assert source in COMPOSE["volumes"] or source.startswith("${"), volume
    for file in (ROOT / "packages" / "gateway" / "Containerfile", ROOT / "Containerfile"):
        last = file.read_text(encoding="utf-8").split("\nFROM ")[-1]
        assert re.findall(r"^USER (\S+)$", last, re.M) == ["10001:10001"], "the one reads what the other wrote"
        assert last.index("\nUSER") < last.index("\nENTRYPOINT")


def test_the_container_has_what_the_package_is_built_from() -> None:
    file = (ROOT / "packages" / "gateway" / "Containerfile").read_text(encoding="utf-8")
    for source in re.findall(r"^COPY (?!--)(.+) \S+$", file, re.M):
        assert all((ROOT / "packages" / "gateway" / one).exists() for one in source.split()), source
    extras = re.search(r"/source\[([\w,]+)\]", file)
    project = (ROOT / "packages" / "gateway" / "pyproject.toml").read_text(encoding="utf-8")
    assert extras and all(f"\n{extra} = [" in project for extra in extras[1].split(","))


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.name)
def test_systemd_reads_the_units(unit: Path, tmp_path: Path) -> None:
    # It looks for the program and the user, which are not on this machine.
    text = re.sub(r"^ExecStart=\S+", f"ExecStart={sys.executable}", unit.read_text(encoding="utf-8"), flags=re.M)
    copy = tmp_path / unit.name
    copy.write_text(re.sub(r"^User=.*$", "User=root", text, flags=re.M), encoding="utf-8")
    done = subprocess.run(
        ["systemd-analyze", "verify", "--recursive-errors=no", str(copy)], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0 and unit.name not in done.stderr, done.stderr
