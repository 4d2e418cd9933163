"""The worker: every batch comes into the state once, whatever it holds and whenever the worker ends."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import msgspec
import pyarrow.parquet as pq
import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from tests.unit.live_stand import START, exchange, held, ids, serving, settings, spans

from clonewatch.live import batches, bodies, spool
from clonewatch.live.batches import Batch
from clonewatch.live.settings import Detect, Settings
from clonewatch.live.spool import Rows
from clonewatch.live.status import read as status_of
from clonewatch.live.worker import Worker
from clonewatch.model.errors import OutputError
from clonewatch.pipeline.daily.ingest import IngestSettings, ingest
from clonewatch.state import store


@pytest.fixture
def chosen(tmp_path: Path) -> Settings:
    """Settings by which a worker looks once, and not again in a test."""
    return settings(tmp_path, detect=Detect(every_minutes=60, days=(1,)))


def put(chosen: Settings, *rows: Rows) -> None:
    """Rows in sealed segments, one for each of them."""
    for one in rows:
        with spool.opened(Path(chosen.spool), chosen.spool_bounds()) as place:
            place.append([one])


def rows(numbers: range, **more: object) -> Rows:
    return bodies.exchanges(json.dumps([exchange(n, **more) for n in numbers]).encode(), "exchange_ndjson").rows[0]


def files(chosen: Settings) -> list[str]:
    return sorted(path.name for path in Path(chosen.spool).rglob("*.ndjson"))


class Watched(Worker):
    """A worker that does not look for groups: these tests are about what comes in."""

    def _is_due(self) -> bool:
        return False


def test_what_was_pushed_is_what_a_log_of_it_would_be(chosen: Settings, tmp_path: Path) -> None:
    put(chosen, rows(range(50)), rows(range(50, 90)))
    Watched(chosen).step()
    log = tmp_path / "log.ndjson"
    log.write_text("".join(json.dumps(exchange(n)) + "\n" for n in range(90)))
    ingest(IngestSettings((str(log),), tmp_path / "other", key_file=Path(chosen.fingerprint_key)))

    def told(state: Path) -> list[dict[str, Any]]:
        return sorted(({**row, "row": 0} for row in held(state)), key=lambda row: row["exchange_id"])

    assert told(Path(chosen.state)) == told(tmp_path / "other")
    assert files(chosen) == []
    said = status_of(Path(chosen.spool))
    assert (said.exchanges, said.batches, sum(said.to_state.counts), said.problem) == (90, 1, 90, "")


def test_a_batch_that_was_taken_and_not_removed_comes_in_once(
    chosen: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(chosen, rows(range(20)), Rows("accounts", b'{"account_id":"a1","payment_fingerprint":"p"}\n', 1))
    with monkeypatch.context() as killed:
        killed.setattr(Batch, "done", lambda self: 0)  # the process ends before this
        Watched(chosen).step()
    assert len(files(chosen)) == 2
    before = ids(Path(chosen.state))
    worker = Watched(chosen)
    worker.step()
    assert ids(Path(chosen.state)) == before == sorted(f"x{n}" for n in range(20))
    assert (worker.status.exchanges, worker.status.repeated) == (0, 20)
    assert files(chosen) == []


def test_a_batch_that_is_sent_again_changes_nothing(chosen: Settings) -> None:
    worker = Watched(chosen)
    for _ in range(3):
        put(chosen, rows(range(20)))
        worker.step()
    put(chosen, rows(range(10, 30)), rows(range(10, 30)))
    worker.step()
    assert ids(Path(chosen.state)) == sorted(f"x{n}" for n in range(30))


def test_rows_without_an_id_are_counted_once_whatever_segment_they_come_in(chosen: Settings) -> None:
    def batch(*times: int) -> Rows:
        said = [{"ts": START + at, "account_id": "a1", "model": "m"} for at in times]
        return bodies.exchanges(json.dumps(said).encode(), "jsonl_map", "plain").rows[0]

    (Path(chosen.spool).parent / "plain.toml").write_text(
        'format = "jsonl_map"\n[fields]\naccount_id = "account_id"\nts = "ts"\nmodel = "model"\n'
    )
    mapped = msgspec.structs.replace(chosen, maps={"plain": str(Path(chosen.spool).parent / "plain.toml")})
    worker = Watched(mapped)
    with spool.opened(Path(chosen.spool), chosen.spool_bounds()) as place:
        for one in (batch(1, 1, 2), batch(3), batch(1, 1, 2)):
            place.append([one])
    worker.step()
    put(chosen, batch(3), batch(1, 1, 2), batch(4))
    worker.step()
    found = ids(Path(chosen.state))
    assert len(found) == len(set(found)) == 5  # two equal rows of one batch are two exchanges


def test_a_poisoned_row_is_written_aside_and_the_others_are_taken(chosen: Settings) -> None:
    poison = [b'{"exchange_id": "p", "ts": "never", "account_id": "a"}', b"\xff\xfe", b"{", b'{"ts": 1}', b"null"]
    put(chosen, rows(range(10)), Rows("exchange_ndjson", b"\n".join(poison) + b"\n", 5), rows(range(10, 20)))
    worker = Watched(chosen)
    worker.step()
    assert len(ids(Path(chosen.state))) == 20
    assert (worker.status.rejected, worker.status.set_aside, worker.status.problem) == (5, 0, "")
    [aside] = (Path(chosen.state) / "rejected").glob("*.ndjson")
    assert len(aside.read_text().splitlines()) == 5 and files(chosen) == []


def test_a_segment_without_accounts_keeps_no_other_out(chosen: Settings) -> None:
    nameless = b"".join(b'{"exchange_id":"n%d","ts":1780000000}\n' % n for n in range(100))
    put(chosen, Rows("exchange_ndjson", nameless, 100), rows(range(5)))
    worker = Watched(chosen)
    worker.step()
    assert len(ids(Path(chosen.state))) == 5 and worker.status.rejected == 100 and files(chosen) == []


def test_a_segment_that_no_reader_takes_is_set_aside_with_its_bytes(chosen: Settings) -> None:
    put(chosen, Rows("jsonl_map@absent", b'{"a": 1}\n', 1), rows(range(5)))
    worker = Watched(chosen)
    worker.step()
    assert len(ids(Path(chosen.state))) == 5
    assert worker.status.set_aside == 1
    [path] = (Path(chosen.spool) / "aside").iterdir()
    assert path.read_bytes() == b'{"a": 1}\n'
    worker.step()
    assert worker.status.set_aside == 1 and worker.status.problem == ""


def test_a_batch_that_ended_the_worker_twice_is_tried_in_parts(chosen: Settings) -> None:
    put(chosen, rows(range(5)), rows(range(5, 10)), rows(range(10, 15)))
    [batch] = batches.waiting(Path(chosen.spool))
    for _ in range(batches.MOST_TRIES):
        batch.tried()
    worker = Watched(chosen)
    worker.step()
    assert len(ids(Path(chosen.state))) == 15 and worker.status.set_aside == 0
    put(chosen, rows(range(15, 20)))
    [batch] = batches.waiting(Path(chosen.spool))
    for _ in range(batches.MOST_TRIES):
        batch.tried()
    worker.step()
    assert len(ids(Path(chosen.state))) == 15 and worker.status.set_aside == 1


def test_a_batch_with_what_was_carried_into_it_comes_apart(chosen: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    worker = Watched(chosen)
    export(chosen, *zip(("/v1/traces", "/v1/logs"), call_in_two(), strict=True))
    worker.step()
    poisoned = Path(chosen.spool) / "sealed" / "000000900-otlp.traces.ndjson"
    poisoned.write_bytes(b"poison\n")
    export(chosen, ("/v1/traces", spans(range(10, 15))))
    real = ingest

    def broken(asked: IngestSettings, *more: Any) -> Any:
        if any(path.read_bytes() == b"poison\n" for path in Path(asked.paths[0]).rglob("*.ndjson")):
            raise KeyError("a bug")
        return real(asked, *more)

    monkeypatch.setattr("clonewatch.live.worker.ingest", broken)
    worker.step()
    assert (worker.status.set_aside, worker.status.problem) == (1, "")
    assert len({row["xid"] for row in held(Path(chosen.state))}) == 6
    assert files(chosen) == ["000000900-otlp.traces.ndjson"]


def test_a_bug_in_a_reader_keeps_no_other_batch_out(chosen: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    put(chosen, rows(range(5)), Rows("litellm", b'{"poison": 1}\n', 1))
    real = ingest

    def broken(asked: IngestSettings, *more: Any) -> Any:
        if any("litellm" in path.name for path in Path(asked.paths[0]).rglob("*")):
            raise KeyError("a bug")
        return real(asked, *more)

    monkeypatch.setattr("clonewatch.live.worker.ingest", broken)
    worker = Watched(chosen)
    worker.step()
    assert len(ids(Path(chosen.state))) == 5 and worker.status.set_aside == 1


def test_a_state_that_somebody_holds_and_a_full_disk_are_waited_for(
    chosen: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = Watched(chosen)
    put(chosen, rows(range(5)))
    worker.step()
    put(chosen, rows(range(5, 10)))
    with store.opened(Path(chosen.state), bytes.fromhex(Path(chosen.fingerprint_key).read_text().strip())):
        for _ in range(5):
            worker.step()
    assert "another process holds this state" in worker.status.problem and len(files(chosen)) == 1
    with monkeypatch.context() as full:
        full.setattr("clonewatch.state.store.State.write", lambda *_: _raise(OutputError("the disk is full")))
        for _ in range(5):
            worker.step()
    assert worker.status.problem == "the disk is full" and status_of(Path(chosen.spool)).problem
    worker.step()
    assert len(ids(Path(chosen.state))) == 10
    assert (worker.status.problem, worker.status.set_aside, files(chosen)) == ("", 0, [])


def _raise(error: Exception) -> None:
    raise error


def test_facts_wait_for_exchanges_and_are_added_up(chosen: Settings) -> None:
    def facts(*given: dict[str, object]) -> list[Rows]:
        return bodies.facts(json.dumps(given).encode(), accounts=False).rows

    worker = Watched(chosen)
    signed = {"kind": "sign_up", "ts": START - 9_000, "account_id": "a1", "payment_fingerprint": "card"}
    put(chosen, *facts(signed, {"kind": "ban", "ts": START, "account_id": "a2"}))
    worker.step()
    assert len(files(chosen)) == 2
    put(chosen, rows(range(10)))
    worker.step()
    put(chosen, *facts({"kind": "sign_up", "account_id": "a1", "device_fingerprint": "phone"}), rows(range(10, 12)))
    worker.step()
    assert files(chosen) == []
    parts = Path(chosen.state) / "parts"
    newest = sorted(parts.glob("*-facts.parquet"))[-1]
    [one] = [row for row in pq.read_table(newest).to_pylist() if row["payment"] is not None]
    assert one["created"] == (START - 9_000) * 1_000_000 and one["device"] is not None
    [event] = pq.read_table(next(parts.glob("*-events.parquet"))).to_pylist()
    assert event["kind"] == "ban"


def call_in_two() -> tuple[bytes, bytes]:
    """A span without its prompt, and the log record that has it, as two requests."""
    request = ExportTraceServiceRequest.FromString(spans(range(1)))
    [span] = request.resource_spans[0].scope_spans[0].spans
    kept = [a for a in span.attributes if a.key != "gen_ai.input.messages"]
    del span.attributes[:]
    span.attributes.extend(kept)
    logs = ExportLogsServiceRequest()
    record = logs.resource_logs.add().scope_logs.add().log_records.add(event_name="gen_ai.user.message")
    record.trace_id, record.span_id = span.trace_id, span.span_id
    record.body.kvlist_value.values.add(key="content").value.string_value = "Write about rivers in spring"
    return request.SerializeToString(), logs.SerializeToString()


def export(chosen: Settings, *requests: tuple[str, bytes]) -> None:
    with serving(chosen) as service:
        for path, body in requests:
            assert service.post(path, body, "application/x-protobuf").status_code == 200


@pytest.mark.parametrize("first", ["/v1/traces", "/v1/logs", ""])
def test_spans_and_the_log_records_about_them_find_each_other(chosen: Settings, first: str) -> None:
    traces, logs = call_in_two()
    other = call_in_two()
    both = {"/v1/traces": traces, "/v1/logs": logs}
    worker = Watched(chosen)
    if first:  # the two come in two batches; others come with both
        export(chosen, (first, both.pop(first)), ("/v1/logs", other[1]))
        worker.step()
    export(chosen, *both.items())
    worker.step()
    found = held(Path(chosen.state))
    assert any(row["prompt"] is not None for row in found)
    assert len({row["xid"] for row in found}) == 1


def test_facts_that_are_none_keep_nothing_out(chosen: Settings) -> None:
    bad = Rows("accounts", b'{"torn\n[]\n{"account_id":null}\n{"account_id":"a1","created_at":"never"}\n', 4)
    put(chosen, bad, Rows("events", b"{\n{}\n", 2), rows(range(5)))
    worker = Watched(chosen)
    worker.step()
    assert len(ids(Path(chosen.state))) == 5 and (worker.status.problem, worker.status.set_aside) == ("", 2)
    assert [name[10:] for name in files(chosen)] == ["accounts.ndjson", "events.ndjson"]


def test_facts_that_come_with_a_segment_that_cannot_be_read_go_with_the_next(chosen: Settings) -> None:
    fact = Rows("accounts", b'{"account_id":"a1","payment_fingerprint":"p"}\n', 1)
    put(chosen, Rows("jsonl_map@absent", b'{"a": 1}\n', 1), fact)
    worker = Watched(chosen)
    worker.step()
    assert worker.status.set_aside == 1
    put(chosen, rows(range(5)))
    worker.step()
    assert len(ids(Path(chosen.state))) == 5 and worker.status.set_aside == 1
    [facts] = (Path(chosen.state) / "parts").glob("*-facts.parquet")
    assert pq.read_table(facts).num_rows == 1


def test_what_is_carried_is_read_once_more_and_then_gone(chosen: Settings) -> None:
    traces, logs = call_in_two()
    worker = Watched(chosen)
    export(chosen, ("/v1/traces", traces), ("/v1/logs", logs))
    worker.step()
    carried = Path(chosen.spool) / "carried"
    assert len(list(carried.iterdir())) == 2 and {one.stat().st_mode & 0o077 for one in carried.iterdir()} == {0}
    export(chosen, ("/v1/traces", spans(range(5))))
    worker.step()
    assert list(carried.iterdir()) == [] and worker.status.repeated == 1
    assert len(held(Path(chosen.state))) == 6
    export(chosen, ("/v1/logs", logs))
    worker.step()
    for path in carried.iterdir():
        os.utime(path, (0, 0))
    worker.step()
    assert files(chosen) == []


def test_a_look_and_its_list_are_measured_from_arrival_to_effect(chosen: Settings) -> None:
    put(chosen, rows(range(30)))
    asked: list[list[Path]] = []
    now = 2_000_000_000.0
    worker = Worker(chosen, lambda scans, _: (asked.append(scans) or 7, 3), clock=lambda: now)
    worker.step()
    assert [[path.name for path in scans] for scans in asked] == [["1-days"]]
    said = status_of(Path(chosen.spool))
    assert (said.looks, said.serial, said.listed) == (1, 7, 3)
    assert sum(said.to_effect.counts) == 30 == said.to_effect.counts[-1]
    put(chosen, rows(range(30, 40)))
    worker.step()
    assert worker.status.looks == 1 and worker.status.exchanges == 40  # not yet time for another look


def test_many_small_parts_become_few(chosen: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clonewatch.live.worker._MOST_PARTS", 2)
    worker = Watched(chosen)
    for n in range(4):
        put(chosen, rows(range(10 * n, 10 * n + 10)))
        worker.step()
    parts = Path(chosen.state) / "parts"
    assert len(list(parts.glob("*exchanges*"))) == 4
    worker._compact()
    assert len(list(parts.glob("*exchanges*"))) == 1 and len(ids(Path(chosen.state))) == 40


def test_a_worker_begins_where_another_one_was_killed_while_it_took_segments(chosen: Settings) -> None:
    put(chosen, rows(range(10)), rows(range(10, 20)))
    place = Path(chosen.spool)
    first, _ = spool.sealed(place)
    folder = place / "taken" / f"{first.name[:9]}@exchange_ndjson@" / "exchanges"
    folder.mkdir(parents=True)
    shutil.move(first, folder / first.name)
    Watched(chosen).step()
    assert len(ids(Path(chosen.state))) == 20 and files(chosen) == []
