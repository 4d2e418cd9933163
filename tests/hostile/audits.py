"""Hostile inputs of an audit: settings and what they name, altered folders and ledgers, models that answer."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.hostile.running import FAILS, WORKS, Case, Expected, Words
from tests.unit.audit_stand import Reply, door, honest, planned, standing, written

from clonewatch.audit.folder import Folder
from clonewatch.audit.json_text import canonical, digest_of

Edit = Callable[[Path], object]
NOT_VERIFIED = frozenset({2, 3})


def prepare(shared: Path) -> None:
    """An audit that is done, and what a plan of one needs."""
    from clonewatch.audit.run import collect, run_tests
    from clonewatch.audit.verification import write_report
    from clonewatch.cli.audit import _style

    for name in ("audited", "unplanned"):
        (shared / name).mkdir()
    with standing(honest) as (url, _):
        kept, ledger = planned(shared / "audited", url, more="answers = 1")
        collect(kept, ledger)
    run_tests(kept, ledger)
    write_report(kept, ledger, _style())
    shutil.copytree(shared / "audited", shared / "unplanned", dirs_exist_ok=True)
    shutil.rmtree(shared / "unplanned" / "audit")
    (shared / "unplanned" / "ledger.jsonl").write_bytes(
        b"".join((shared / "audited" / "ledger.jsonl").read_bytes().splitlines(keepends=True)[:1])
    )


# ---- settings --------------------------------------------------------------------------------------------------------

_ADDRESSES = (
    "http://[::1", "https://" + "a" * 3000, "http://127.0.0.1:99999/v1", "http://127.0.0.1:0/v1", "https://a b.com/v1",
    "https://ex\\u001bample.com/v1", "https://\\u0000/v1", "https://\\u202eabc.com/v1", "https://a..b/", "https://xn--/v1",
    "https://user:word@example.com/v1", "http://example.com/v1", "ftp://example.com", "https://", "https://" + "a" * 64,
)  # fmt: skip
# By what is wrong: lines before the settings.
LINES = {
    **{f"alpha = {v}": f"alpha = {v}\n" for v in ("nan", "inf", "-0.0", "1e-400", "true")},
    **{f"temperature = {v}": f"temperature = {v}\n" for v in ("nan", "inf", "-0.0", "1e-400", "true")},
    **{f"looks = {v}": f"looks = {v}\n" for v in ("0", "-1", "99", "9" * 30, "1.5")},
    **{f"secrets = {v}": f"secrets = {v}\n" for v in ('[""]', '["\\u001b"]', '["0000000000"]', "7")},
    "nested lists": "a = " + "[" * 100_000,
    "a key with escapes": '"\\u001b[2J\\u202e" = 1\n',
}
# A file that the settings name, and what is in its place: bytes, or what is no file.
NAMED = ("prompts.jsonl", "words.txt", "ledger.jsonl", "settings.toml")
PLACES: dict[str, Edit | bytes] = {
    "a pipe": lambda path: (path.unlink(), os.mkfifo(path)),
    "a device": lambda path: (path.unlink(), path.symlink_to("/dev/zero")),
    "a folder": lambda path: (path.unlink(), path.mkdir()),
    "nothing": b"",
    "bytes": bytes(range(256)),
}
ROWS_OF = {
    "prompts": {
        "half a character": b'{"prompt": "\\ud800"}\n', "a key twice": b'{"prompt": "a", "prompt": "b"}\n',
        "nesting": b'{"prompt": ' + b"[" * 950 + b"]" * 950 + b"}\n", "a number": b'{"prompt": 7}\n',
    },
    "served": {
        "no text": b'{"text": []}\n', "a commitment that is none": b'{"text": "a", "commitment": {}}\n',
        "nesting": b'{"text": ' + b"[" * 100_000,
    },
    "twins": {
        "a commitment that is none":
            b'{"request_id": "r", "prompt": "p", "first": "a", "second": "b", "commitment": {}}\n',
        "wrong types": b'{"request_id": 1, "prompt": [], "first": 2, "second": {}}\n',
    },
    "tokenizer": {"no tokenizer": b"{}", "nesting": b"[" * 100_000, "wrong types": b'{"model": {"type": "none"}}'},
}  # fmt: skip


def settings(edit: Callable[[str, Path], str]) -> Callable[[Path, Path], Words]:
    """A plan, from settings that were edited."""

    def make(folder: Path, shared: Path) -> Words:
        place = Path(shutil.copytree(shared / "unplanned", folder / "book"))
        changed = edit((place / "settings.toml").read_text(encoding="utf-8"), place)
        if (place / "settings.toml").is_file() and not (place / "settings.toml").is_symlink():
            (place / "settings.toml").write_text(changed, encoding="utf-8")
        return "audit", "plan", place / "settings.toml", "--out", place / "audit"

    return make


def _put(name: str, what: Edit | bytes) -> Callable[[str, Path], str]:
    def edit(text: str, place: Path) -> str:
        if isinstance(what, bytes):
            (place / name).write_bytes(what)
        else:
            what(place / name)
        return what.decode("latin-1") if isinstance(what, bytes) and name == "settings.toml" else text

    return edit


def _names(key: str, data: bytes) -> Callable[[str, Path], str]:
    def edit(text: str, place: Path) -> str:
        name = "named.json" if key == "tokenizer" else "named"
        (place / name).write_bytes(data)
        kept = [line for line in text.splitlines(keepends=True) if not line.startswith(f"{key} =")]
        return f'{key} = "{name}"\n' + "".join(kept)

    return edit


def _address(url: str) -> Callable[[str, Path], str]:
    return lambda text, _: text.replace(text.partition('url = "')[2].partition('"')[0], url, 1)


def setting_cases() -> Iterator[Case]:
    family = "settings of an audit"
    for form, lines in LINES.items():
        yield Case(family, form, "plan", settings(lambda text, _, lines=lines: lines + text), Expected(FAILS))  # type: ignore[misc]
    for url in _ADDRESSES:
        yield Case(family, f"address {url[:40]}", "plan", settings(_address(url)), Expected(FAILS))
    for name in ("", " ", "\\u001b[2J", "m" * 3000):
        edit = lambda text, _, name=name: text.replace('model = "suspect"', f'model = "{name}"')  # noqa: E731
        yield Case(family, f"model {name[:10]}", "plan", settings(edit), Expected(FAILS))
    for name in NAMED:
        for form, what in PLACES.items():
            yield Case(family, f"{name}, {form}", "plan", settings(_put(name, what)), Expected(FAILS))
    for key, kinds in ROWS_OF.items():
        for form, data in kinds.items():
            yield Case(family, f"{key}, {form}", "plan", settings(_names(key, data)), Expected(FAILS))


# ---- folders and ledgers ---------------------------------------------------------------------------------------------

FILES = ("plan.json", "results.json", "manifest.json", "sent.jsonl", "report.html", "raw/suspect/answer-00000.json")
HARMS: dict[str, Edit | bytes] = {
    **PLACES,
    "an empty object": b"{}\n",
    "nesting": b'{"a":' + b"[" * 950 + b"]" * 950 + b"}",
    "nesting after an escape": b'{"b":"\\ud83d\\ude42","a":' + b"[" * 950 + b"]" * 950 + b"}",
    "a number without end": b'{"a":' + b"9" * 5000 + b"}",
    "another order of keys": lambda path: path.write_bytes(path.read_bytes().replace(b"{", b"{ ", 1)),
    "one bit": lambda path: path.write_bytes(bytes([path.read_bytes()[0] ^ 1]) + path.read_bytes()[1:]),
    "one byte more": lambda path: path.write_bytes(path.read_bytes() + b"\n"),
    "the last byte": lambda path: path.write_bytes(path.read_bytes()[:-1]),
}

_OF_JSON = ("an empty object", "nesting", "nesting after an escape", "a number without end", "another order of keys")


def chained(place: Path, edit: Callable[[list[dict[str, Any]]], object]) -> None:
    """Write the ledger again with other records, whose hashes hold."""
    path = place / "ledger.jsonl"
    records, previous, lines = [json.loads(line) for line in path.read_bytes().splitlines()], "0" * 64, []
    edit(records)
    for n, record in enumerate(records):
        record |= {"n": n, "previous": previous}
        record.pop("hash", None)
        previous = hashlib.sha256(canonical(record)).hexdigest()
        lines.append(canonical({**record, "hash": previous}) + b"\n")
    path.write_bytes(b"".join(lines))


def replanned(place: Path, edit: Callable[[dict[str, Any]], object]) -> None:
    """Change the plan, and register it in place of the other one with all that follows from it."""
    audit = place / "audit"
    plan, results = (json.loads((audit / name).read_bytes()) for name in ("plan.json", "results.json"))
    before = digest_of(plan), results["sealed"]
    edit(plan)
    (audit / "plan.json").write_bytes(canonical(plan) + b"\n")
    (audit / "manifest.json").write_bytes(canonical(Folder(audit).hashes()) + b"\n")
    results["plan"], results["sealed"] = digest_of(plan), digest_of((audit / "manifest.json").read_bytes())
    (audit / "results.json").write_bytes(canonical(results) + b"\n")
    new = dict(zip(before, (results["plan"], results["sealed"]), strict=True))

    def renamed(records: list[dict[str, Any]]) -> None:
        for body in (record["body"] for record in records):
            body |= {name: new[value] for name, value in body.items() if isinstance(value, str) and value in new}

    chained(place, renamed)


def _added(kind: str, **body: str) -> Callable[[list[dict[str, Any]]], object]:
    return lambda records: records.append({"at": "2026-01-01T00:00:00Z", "kind": kind, "body": body})


RECORDS: dict[str, Callable[[list[dict[str, Any]]], object]] = {
    "a commitment without form": lambda records: records[0]["body"].update(public={}),
    "a commitment of other types": lambda records: records[0]["body"].update(carriers=[1, {}], since="\x1b[2J"),
    "a look of another name": lambda records: records[-1]["body"].update(test="\x1b[2J\u202e"),
    "a look without end": lambda records: records[-1]["body"].update(test="T1/" + "9" * 5000),
    "a timestamp above": _added("timestamp", head="x", file="..", sha256="y"),
    "a timestamp of no name": _added("timestamp", head="x", file="", sha256="y"),
    "a timestamp with a zero byte": _added("timestamp", head="x", file="a\0b", sha256="y"),
    "a timestamp too long": _added("timestamp", head="x", file="a" * 5000, sha256="y"),
    "half a character": _added("timestamp", head="x", file="\ud800", sha256="y"),
    "a torn line with escapes": _added("torn", file="\x1b[2J", sha256="y"),
    "a reveal of nothing": _added("reveal", commitment="x", salt="00", secret="zz"),  # noqa: S106 - nobody's
}
PLANS: dict[str, Callable[[dict[str, Any]], object]] = {
    "a model with a path": lambda plan: plan["sources"].update({"../../x": plan["sources"]["suspect"]}),
    "no control": lambda plan: plan["sources"].pop("control"),
    "a test with a path": lambda plan: plan["tests"][0].update(id="../../x"),
    "a test twice": lambda plan: plan["tests"].append(plan["tests"][0]),
    "an address that is not encrypted": lambda plan: plan["sources"]["suspect"].update(url="http://example.com/"),
    "an address with escapes": lambda plan: plan["sources"]["suspect"].update(url="http://\x1b[2J\u202e/"),
    "prompts without end": lambda plan: plan.update(prompts=10**18),
    "looks without end": lambda plan: plan.update(looks=10**15),
    "decoys without end": lambda plan: plan.update(decoys=10**12),
    "canaries without end": lambda plan: plan["tests"][0].update(
        test="canary", public={"count": 10**9, "length": 3, "template": "{"}
    ),
    "another kind of secret": lambda plan: plan["tests"][0].update(test="twin"),
    "no parameters": lambda plan: plan["tests"][0].update(public={}),
    "a file above": lambda plan: plan["files"].update({"../x": "0"}),
}


def altered(command: str, edit: Edit) -> Callable[[Path, Path], Words]:
    """A command on an audit that was altered."""

    def make(folder: Path, shared: Path) -> Words:
        place = Path(shutil.copytree(shared / "audited", folder / "book"))
        edit(place)
        return "audit", command, place / "audit", *(["--quiet"] if command == "collect" else [])

    return make


def _harmed(name: str, what: Edit | bytes) -> Edit:
    def edit(place: Path) -> object:
        path = place / "audit" / name
        return path.write_bytes(what) if isinstance(what, bytes) else what(path)

    return edit


def folder_cases() -> Iterator[Case]:
    family = "an altered audit"
    for name in FILES:
        for form, what in HARMS.items():
            if form in _OF_JSON and name in ("sent.jsonl", "report.html"):
                continue
            yield Case(
                family, f"{name}, {form}", "verify", altered("verify", _harmed(name, what)), Expected(NOT_VERIFIED)
            )
    for name in ("manifest.json", "sent.jsonl", "raw/control/answer-00003.json"):
        for form in ("a pipe", "nothing", "an empty object", "the last byte"):
            edit = _harmed(name, HARMS[form])
            yield Case(family, f"{name}, {form}", "collect", altered("collect", edit), Expected(FAILS))
        gone = altered("collect", lambda place, name=name: (place / "audit" / name).unlink())  # type: ignore[misc]
        yield Case(family, f"{name}, gone", "collect", gone, Expected(FAILS))
    for form, records in RECORDS.items():
        edit = lambda place, records=records: chained(place, records)  # noqa: E731
        yield Case(family, f"ledger, {form}", "verify", altered("verify", edit), Expected(NOT_VERIFIED))
    for form, plan in PLANS.items():
        edit = lambda place, plan=plan: replanned(place, plan)  # noqa: E731
        for command in ("verify", "report"):
            exits = NOT_VERIFIED if command == "verify" else FAILS
            yield Case(family, f"plan, {form}", command, altered(command, edit), Expected(exits))


# ---- models that answer ----------------------------------------------------------------------------------------------

_NESTED = b'{"choices": [{"text": " bal", "finish_reason": ' + b"[" * 950 + b"]" * 950 + b"}]}"
ANSWERS: dict[str, Callable[[dict[str, Any]], Reply]] = {
    "nothing": lambda body: (200, {}, b""),
    "nesting": lambda body: (200, {}, b'{"choices":' * 100_000),
    "a reason that nests": lambda body: (200, {}, _NESTED),
    "half a character": lambda body: (200, {}, {"choices": [{"text": "\ud800"}]}),
    "places that are none": lambda body: (
        200,
        {},
        {"choices": [{"text": "a", "index": {}}, {"text": "b", "index": "x"}]},
    ),
    "numbers without end": lambda body: (200, {}, b'{"choices": [{"text": "a", "index": ' + b"9" * 5000 + b"}]}"),
    "another encoding of text": lambda body: (200, {}, json.dumps(written(body, 1)).encode("utf-16")),
    "half a gzip": lambda body: (200, {"Content-Encoding": "gzip"}, b"\x1f\x8b\x08"),
    "an encoding of no name": lambda body: (200, {"Content-Encoding": "x-none"}, written(body, 1)),
    "a teapot": lambda body: (418, {}, {}),
    "a number that is no status": lambda body: (999, {}, {}),
    "an empty status": lambda body: (204, {}, b""),
}
REDIRECTS = ("javascript:1", "http://xn--/", "http://[::1", "http://a:99999999/", "//", "x" * 60_000)


def answering(reply: Callable[[dict[str, Any]], Reply]) -> Callable[[Path, Path], Words]:
    """A collection from a suspect that answers so to one prompt in four."""

    def behave(model: str, body: dict[str, Any], number: int) -> Reply:
        hostile = model == "suspect" and zlib_of(body["prompt"]) % 4 == 0
        return reply(body) if hostile else honest(model, body, number)

    def make(folder: Path, shared: Path) -> Words:
        # It ends with the process that runs inputs.
        server = ThreadingHTTPServer(("127.0.0.1", 0), door(behave, []))
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        planned(folder, f"http://127.0.0.1:{server.server_port}/v1", more="answers = 1")
        return "audit", "collect", folder / "audit", "--quiet"

    return make


def zlib_of(text: str) -> int:
    """A number that text has in every process."""
    return hashlib.sha256(text.encode()).digest()[0]


def answer_cases() -> Iterator[Case]:
    family = "a hostile model"
    for form, reply in ANSWERS.items():
        yield Case(family, form, "collect", answering(reply), Expected(WORKS, says="answers collected"))
    for to in REDIRECTS:
        reply = lambda body, to=to: (302, {"Location": to}, b"")  # noqa: E731
        yield Case(family, f"redirect {to[:20]}", "collect", answering(reply), Expected(FAILS, says="status 302"))


def cases() -> Iterator[Case]:
    """Every input of an audit."""
    yield from setting_cases()
    yield from folder_cases()
    yield from answer_cases()
