"""Two providers in two processes: one operator moves from one to the other, and is found by both together."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from evals import provider_hop
from evals.provider_hop import WORLDS, cut, discoveries, rows
from tests.unit.matching_stand import LIBRARY

from clonewatch.cli.match_values import groups
from clonewatch.lab.simulate import simulate
from clonewatch.sharing.matching import query_log

pytestmark = LIBRARY
COMMAND = [sys.executable, "-c", "from clonewatch.cli.main import run; run()"]
SEED = 1


def run(*words: object, code: int = 0) -> str:
    done = subprocess.run([*COMMAND, *map(str, words)], capture_output=True, text=True)
    assert done.returncode == code, done.stderr + done.stdout
    return done.stdout


@contextmanager
def answering(folder: Path) -> Iterator[str]:
    """A holder in a process of its own, by its settings; its address."""
    words = [*COMMAND, "match", "serve", str(folder / "match.toml"), "--listen", "127.0.0.1:0", "--quiet"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout
        told = process.stdout.readline()
        found = re.search(r"http://[0-9.:]+", told)
        try:
            assert found, f"it did not start: {told}{process.stderr.read() if process.stderr else ''}"
            yield found[0].rstrip(".")
        finally:
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=60)
    assert process.returncode == 0


@pytest.fixture(scope="module")
def providers(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two providers with a scan, a file of values, settings, one epoch, and a key of each for the other."""
    root = tmp_path_factory.mktemp("pact")
    simulate("provider_hop", root / "world", seed=SEED, known=WORLDS)
    places = cut(root / "world", root, SEED)
    run("match", "epoch", root / "epoch.json", "--group", "pact", "--name", "e1")
    for place, peer in zip(places, ("south", "north"), strict=True):
        logged = [place / "exchanges", "--accounts", place / "accounts.parquet", "--events", place / "events.parquet"]
        run("scan", *logged, "--out", place / "result", "--key", place / "own.key", "--quiet")
        held = "".join(f"{kind},{value},{account}\n" for kind, value, account in rows(place))
        (place / "values.csv").write_text(f"kind,value,account\n{held}")
        (place / "epoch.json").write_bytes((root / "epoch.json").read_bytes())
        (place / "epoch.json").chmod(0o600)
        told = run("match", "serve", "--new-key", peer)
        settings = told[told.index("[peers.") :].replace('["count"]', '["count", "which", "sightings"]')
        (place / "match.toml").write_text(f'scan = "result"\n{settings}')
        key = places[1 - places.index(place)] / "peer.key"
        key.write_text(told.split()[6])
        key.chmod(0o600)
    return places


def query(here: Path, url: str, *more: object, code: int = 0) -> str:
    held = ["--epoch", here / "epoch.json", "--values", here / "values.csv", "--key", here / "peer.key", "--quiet"]
    return run("match", "query", url, *held, "--cache", here / "peers", *more, code=code)


def test_a_hop_is_found_together_and_by_neither_alone(providers: tuple[Path, Path]) -> None:
    north, south = providers
    for place in providers:
        alone = {one.id: one.p for one in groups(place / "result")}
        assert alone and not discoveries(alone, provider_hop.FALSE_JOINS), f"{place.name} finds it alone: {alone}"
    with answering(south) as url:
        which = ["--scan", north / "result", "--which", "--met", north / "met.ndjson", "--peer", "south"]
        told = json.loads(query(north, url, *which, "--json"))
    assert told["met"] == 1 and all(one["traffic"]["setup"] > 0 for one in told["kinds"])
    for file in (north / "met.ndjson", south / "met.ndjson"):  # both sides know
        (one,) = json.loads(run("match", "joint", file, "--json", "--fail-on-review", code=3))
        assert one["review"] and one["p"] <= provider_hop.FALSE_JOINS
        assert file.stat().st_mode & 0o777 == 0o600 and "acct-" not in file.read_text()
    (one,) = json.loads(run("match", "joint", north / "met.ndjson", "--json"))
    assert [(hop["source"], hop["target"]) for hop in one["hops"]] == [("us", "south")]
    assert "no verdict" in run("match", "joint", north / "met.ndjson")


def test_both_ask_each_other_and_a_kept_set_up_is_not_fetched_again(providers: tuple[Path, Path]) -> None:
    north, south = providers
    with answering(north) as there, answering(south) as here:
        first = json.loads(query(south, there, "--json"))
        again = json.loads(query(south, there, "--json"))
        assert [one["traffic"]["setup"] > 0 for one in first["kinds"]] == [True] * len(first["kinds"])
        assert [one["traffic"]["setup"] for one in again["kinds"]] == [0] * len(first["kinds"])
        assert {one["matched"] for one in again["kinds"]} == {None}  # how many, not which
        query(north, here, "--fail-on-match", code=3)
    counted = json.loads(run("match", "log", north / "queries.ndjson", "--json"))
    assert counted["records"] == len(query_log.read(north / "queries.ndjson")[0]) > 5


def test_a_stranger_to_the_epoch_is_refused_and_told_why(providers: tuple[Path, Path], tmp_path: Path) -> None:
    north, south = providers
    run("match", "epoch", tmp_path / "other.json", "--group", "pact", "--name", "e1")
    with answering(south) as url:
        words = ["match", "query", url, "--epoch", tmp_path / "other.json", "--values", north / "values.csv", "--key"]
        done = subprocess.run([*COMMAND, *map(str, [*words, north / "peer.key"])], capture_output=True, text=True)
        assert done.returncode == 2 and "another secret or other rules" in done.stderr
        done = subprocess.run([*COMMAND, *map(str, [*words, north / "own.key"])], capture_output=True, text=True)
        assert done.returncode == 2 and "401" in done.stderr
