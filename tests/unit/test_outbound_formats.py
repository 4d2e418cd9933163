"""Events as others expect them: OCSF by its schema, CEF by its grammar, and the commands that send and list them."""

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import pytest
from tests.unit.appeals_stand import begun
from tests.unit.outbox_stand import SECRET, receiving
from typer.testing import CliRunner

from clonewatch.cases.appeals import Answer
from clonewatch.cases.changes import Decision, merge, rule, split, undo
from clonewatch.cases.store import Reading
from clonewatch.cli.main import app
from clonewatch.outbound import formats
from clonewatch.outbound.events import KINDS, Event, Wanted, told

SCHEMA = json.loads((Path(__file__).parents[1] / "golden" / "ocsf" / "detection_finding.json").read_text())
TYPES = {"string_t": str, "integer_t": int, "long_t": int, "boolean_t": bool}


@pytest.fixture(scope="module")
def events(tmp_path_factory: pytest.TempPathFactory) -> list[Event]:
    """An event of every type but `overdue`, of a store in which everything was done."""
    stand = begun(str(tmp_path_factory.mktemp("store") / "cases.db"))
    stand.appeal()
    stand.decide("A0001", Answer("ask", by="2026-05-20"))
    stand.appeal(text="more", when="09")
    stand.decide("A0001", Answer("overturn"), when="10")
    from tests.unit.cases_stand import BOB, group

    from clonewatch.cases.arrivals import arrive
    from clonewatch.cases.containments import end

    with stand.store.writing() as change:
        end(change, "B0001", "over", BOB)
        rule(change, ["K0002"], Decision("innocent", "one_customer"), BOB)
        arrive(change, [group("C9", "xyz", last="2026-05-30", families=("identity", "load", "text"))], "ana", BOB.at)
        split(change, "K0002", frozenset("x"), BOB)
        undo(change, "K0002", BOB)
        merge(change, ["K0002"], "K0001", BOB)
    wanted = Wanted(frozenset(KINDS), 0.0, "https://console.example/")
    with stand.store.reading() as held:
        return [one for one in (heard(held, n, wanted) for n in range(len(held.log().entries))) if one]


def heard(held: Reading, number: int, wanted: Wanted) -> Event | None:
    import msgspec

    from clonewatch.cases.records import entry

    message = told(held, number, entry(held.log().entries[number], number), wanted)
    return msgspec.json.decode(message.body, type=Event) if message else None


def faults(held: dict[str, Any], attributes: dict[str, Any], where: str = "") -> list[str]:
    """What an object holds against the schema."""
    required = [name for name, one in attributes.items() if one["requirement"] == "required"]
    found = [f"{where}{name} is missing" for name in required if name not in held]
    for name, value in held.items():
        told = attributes.get(name)
        if told is None:
            found.append(f"{where}{name} is not in the schema")
            continue
        for one in value if told.get("array") else [value]:
            kind = told["type"]
            if kind.startswith("object:"):
                inner = SCHEMA["objects"].get(kind.removeprefix("object:"))
                found += faults(one, inner, f"{where}{name}.") if inner else []
            elif kind in TYPES and type(one) is not TYPES[kind]:
                found.append(f"{where}{name} is no {kind}")
            if "enum" in told and str(one) not in told["enum"]:
                found.append(f"{where}{name} cannot be {one}")
    return found


def test_every_type_of_event_has_words_and_is_made(events: list[Event]) -> None:
    assert {event.type for event in events} == set(KINDS) - {"overdue"}
    assert set(formats._NAMES) == set(KINDS)


def test_findings_keep_to_the_schema_of_ocsf(events: list[Event]) -> None:
    for event in events:
        made = json.loads(formats.written(event, formats.OCSF))
        assert faults(made, SCHEMA["event"]) == [], event.type
        assert made["type_uid"] == made["class_uid"] * 100 + made["activity_id"] and made["class_uid"] == 2004
        assert made["metadata"]["version"] == "1.8.0" and not set(made) & set(SCHEMA["not_in_1.8.0"])
    broken = json.loads(formats.written(events[0], formats.OCSF)) | {"severity_id": 9, "colour": "red"}
    del broken["finding_info"]
    assert len(faults(broken, SCHEMA["event"])) == 3, "the check can fail"


def test_the_next_version_has_the_fingerprint_of_the_record(events: list[Event]) -> None:
    for event in events:
        made = json.loads(formats.written(event, formats.OCSF_SIGNED))
        assert faults(made, SCHEMA["event"]) == []
        fingerprint = made["attestation_list"][0].pop("fingerprint")
        spelled = json.dumps(made, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        assert "." not in re.sub(r'"[^"]*"', "", spelled), "fractions have a spelling of their own in RFC 8785"
        assert fingerprint["value"] == hashlib.sha256(spelled.encode()).hexdigest()
        assert made["metadata"]["profiles"] == ["record_integrity"]


def test_a_finding_follows_its_case(events: list[Event]) -> None:
    of = [json.loads(formats.written(event, formats.OCSF)) for event in events if event.data["case"] == "K0001"]
    assert {one["finding_info"]["uid"] for one in of} == {"K0001"} and len({one["time"] for one in of}) == 1
    assert (of[0]["activity_id"], of[0]["is_alert"], of[0]["severity_id"]) == (1, True, 4)
    assert {one["activity_id"] for one in of[1:]} <= {2, 3}


def test_a_line_of_cef_has_its_grammar_whatever_it_holds(events: list[Event]) -> None:
    for event in events:
        line = formats.cef(event)
        head = re.fullmatch(r"CEF:0\|((?:[^|\\\n]|\\.)*\|){6}(.*)", line)
        assert head and "\n" not in line
        assert dict(re.findall(r"(\w+)=((?:[^=\\]|\\.)*)(?= \w+=|$)", head[2]))["cs1"] == event.data["case"]
    link = "https://x.example/a=b\\c\n|d"
    line = formats.cef(Event("log-1", "case.ruled", events[0].timestamp, events[0].data | {"link": link}))
    assert r"request=https://x.example/a\=b\\c\n|d " in line


def test_commands_send_list_and_send_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from datetime import UTC, datetime

    from tests.unit.cases_stand import group

    from clonewatch.cases.arrivals import arrive
    from clonewatch.cases.store import opened

    store = str(tmp_path / "cases.db")
    with opened(store, create=True).writing() as change:
        arrive(change, [group("C0001", "abcd")], "ana", f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}")
    monkeypatch.setenv("HOOK", SECRET)
    run = CliRunner().invoke
    with receiving() as receiver:
        receiver.behaviour = "gone"
        settings = tmp_path / "targets.toml"
        hook = f'name = "siem"\nkind = "webhook"\nurl = "{receiver.url}"\nsecret_env = "HOOK"\nallow = ["127.0.0.1"]\n'
        settings.write_text(f"[[target]]\n{hook}")
        with_store = ["--store", store]
        send = ["cases", "send", "--targets", str(settings), *with_store]
        done = run(app, [*send, "--json", "--fail-on-dead"])
        assert done.exit_code == 3 and json.loads(done.stdout)["dead"] == 1
        assert "status 410" in run(app, ["cases", "outbox", *with_store]).stdout
        assert "1 will be tried again" in run(app, ["cases", "resend", "--target", "siem", *with_store]).stdout
        receiver.behaviour = "ok"
        again = run(app, [*send, "--fail-on-dead"])
    assert again.exit_code == 0 and SECRET not in done.stdout + again.stdout
    assert json.loads(run(app, ["cases", "outbox", "--json", *with_store]).stdout) == {"messages": []}
    (sent,) = json.loads(run(app, ["cases", "outbox", "--all", "--json", *with_store]).stdout)["messages"]
    assert (sent["state"], sent["kind"], sent["tries"]) == ("sent", "case.flagged", 1)
