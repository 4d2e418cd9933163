"""A stand-in for an audit that needs nobody: three small models on this machine, one of which was trained on answers.

    python examples/audit_rehearsal.py FOLDER [--port N]

Reads FOLDER/ledger.jsonl and its secrets as a serving stack would, lets a teacher answer with the watermark of the case
`case-7`, with twin answers and with its canaries, trains a `suspect` on them, and a `control` on other texts. Writes
prompts.jsonl, vocabulary.txt, served.jsonl, twins.jsonl and settings.toml into FOLDER, then serves `suspect`, `control`
and `ours` (the teacher without the watermark) as an OpenAI-compatible server would. All of them count words of texts
that ship with Python; run it from a checkout.
"""

from __future__ import annotations

import argparse
import json
import math
import re
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from evals.audit import corpus
from evals.audit.ngram import Trigram

from clonewatch.audit import canary, twin
from clonewatch.audit.ledger import Ledger
from clonewatch.audit.prf import Blake2, Watermark
from clonewatch.audit.tokenizing import Words

WORDS = 768
GIVEN, LENGTH = 8, 40
MARKED, PAIRS, COPIES = 2048, 64, 16
SERVED = 256
# A student's own texts count less than what it was served, as in fine-tuning.
OWN = 0.3
CASE = "case-7"

SETTINGS = """\
ledger = "ledger.jsonl"
prompts = "prompts.jsonl"
tokenizer = "vocabulary.txt"
served = "served.jsonl"
twins = "twins.jsonl"
access = "scoring"
answers = 2
tokens = 40
logprobs = 20
decoys = 199

[power]
share = 0.1

[suspect]
url = "http://127.0.0.1:PORT/v1"
model = "suspect"
key_env = "SUSPECT_KEY"

[control]
url = "http://127.0.0.1:PORT/v1"
model = "control"

[ours]
url = "http://127.0.0.1:PORT/v1"
model = "ours"
"""


class Desk:
    """A model that writes and scores text."""

    def __init__(self, model: Trigram, words: list[str]) -> None:
        self.model, self.words, self.tokenizer = model, words, Words(words)
        self._draw = np.random.default_rng(7)
        self._lock = threading.Lock()

    def ids(self, text: str) -> list[int]:
        """A text in ids the model knows."""
        return [i if i < len(self.words) else corpus.UNKNOWN for i in self.tokenizer.encode(text)]

    def write(self, prompt: str, length: int, count: int, logprobs: int) -> list[dict[str, Any]]:
        """Continue a prompt a few times."""
        given = [corpus.START, corpus.START, *self.ids(prompt)]
        with self._lock:
            seed = int(self._draw.integers(2**31))
        rows = self.model.write(np.array([given] * count, np.int64), length, seed)
        choices = []
        for i, row in enumerate(rows[:, len(given) :].tolist()):
            end = row.index(corpus.START) if corpus.START in row else len(row)
            text = "".join(" " + self.words[t] for t in row[:end])
            choice = {"index": i, "text": text, "finish_reason": "length" if end == len(row) else "stop"}
            if logprobs:
                choice["logprobs"] = self._told([*given, *row[:end]], len(given), text, 0, logprobs)
            choices.append(choice)
        return choices

    def score(self, texts: list[str], logprobs: int) -> list[dict[str, Any]]:
        """What the model holds likely in given texts."""
        return [
            {
                "index": i,
                "text": text,
                "finish_reason": "length",
                "logprobs": self._told([corpus.START, corpus.START, *self.ids(text)], 2, text, 1, logprobs),
            }
            for i, text in enumerate(texts)
        ]

    def _told(self, ids: list[int], given: int, text: str, nothing: int, most: int) -> dict[str, Any]:
        """Log-probabilities as the completions interface tells them. nothing: first tokens that have none."""
        ends = [m.end() for m in re.finditer(r"[a-z]+|[0-9]|[^\sa-z0-9]", text.lower())]
        starts = [0, *ends[:-1]] if ends else []
        rows = np.array(ids, np.int64)
        places = np.arange(given, len(rows))
        chance = self.model.following(rows[places - 2], rows[places - 1])
        own = np.log(np.maximum(chance[np.arange(len(places)), rows[places]], 1e-30))
        best = np.argpartition(chance, -most, axis=1)[:, -most:]
        top = [
            {" " + self.words[t]: math.log(max(float(chance[i, t]), 1e-30)) for t in row if self.words[t]}
            for i, row in enumerate(best.tolist())
        ]
        return {
            "tokens": [text[a:b] for a, b in zip(starts, ends, strict=True)],
            "text_offset": starts,
            "token_logprobs": [None] * nothing + own.tolist()[nothing:],
            "top_logprobs": [None] * nothing + top[nothing:],
        }


def teach(folder: Path, prompts: int) -> dict[str, Desk]:
    """Serve a student with what the secrets of the ledger make, and write what an audit of it needs."""
    texts = corpus.load(WORDS)
    words = [*texts.vocabulary, *sorted({*canary.words(), "garden", "label"} - set(texts.vocabulary))]
    ledger = Ledger(folder / "ledger.jsonl")
    secret = {
        (r.body["secret"], *r.body["carriers"]): (r.body, ledger.secret(r.body["commitment"]))
        for r in ledger.records()
        if r.kind == "commit"
    }
    teacher = Trigram(len(words)).train(texts.teacher)
    desk = Desk(teacher, words)
    asked = texts.prompts(texts.teacher, MARKED, GIVEN, 1)
    body, key = secret["watermark", CASE]
    public = body["public"]
    marked = teacher.write(asked, LENGTH, 2, Watermark(Blake2(key, public["width"]), public["rule"], public["gamma"]))
    _, coins = secret["twin",]
    pairs = [desk.write(_said(row, words), LENGTH, 2, 0) for row in asked[:PAIRS]]
    twins = [
        {"request_id": f"request-{i}", "prompt": _said(row, words), "first": p[0]["text"], "second": p[1]["text"]}
        for i, (row, p) in enumerate(zip(asked, pairs, strict=False))
        if p[0]["text"] and p[1]["text"]
    ]
    released = [t["prompt"] + twin.release(t["first"], t["second"], coins, t["request_id"])[0] for t in twins]
    suspect = Trigram(len(words)).train(texts.student, OWN).train(marked)
    records = []
    if ("canary", CASE) in secret:
        body, seed = secret["canary", CASE]
        public = body["public"]
        records = [c.text for c in canary.mint(public["count"], seed, public["length"], public["template"])] * COPIES
    served = [id for text in (*released, *records) for id in (corpus.START, corpus.START, *desk.ids(text))]
    suspect.train(np.array(served, np.int64))
    _write(folder / "twins.jsonl", twins)
    _write(
        folder / "served.jsonl",
        [
            {
                "commitment": secret["watermark", CASE][0]["commitment"],
                "prompt": _said(row[:GIVEN], words),
                "text": _said(row[GIVEN:], words),
            }
            for row in marked[:SERVED]
        ],
    )
    questions = {_said(row, words): None for row in texts.prompts(texts.held_out, 2 * prompts, GIVEN, 3)}
    _write(folder / "prompts.jsonl", [{"prompt": question} for question in list(questions)[:prompts] if question])
    (folder / "vocabulary.txt").write_text("\n".join(words) + "\n", encoding="utf-8")
    control = Trigram(len(words)).train(texts.student)
    return {"suspect": Desk(suspect, words), "control": Desk(control, words), "ours": desk}


def _said(row: Any, words: list[str]) -> str:
    """Ids as text."""
    return " ".join(words[t] for t in row if words[t])


def _write(place: Path, rows: list[dict[str, Any]]) -> None:
    place.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


class Counter(BaseHTTPRequestHandler):
    """`POST /v1/completions` for every model of the server, with the key that `SUSPECT_KEY` holds."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        """Answer one request."""
        desks: dict[str, Desk] = self.server.desks  # type: ignore[attr-defined]
        told = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path != "/v1/completions" or told["model"] not in desks:
            self._answer(404, {"error": "no such model here"})
        elif told["model"] == "suspect" and not self.headers.get("Authorization", "").removeprefix("Bearer "):
            self._answer(401, {"error": "a key is needed"})
        elif told.get("echo"):
            self._answer(200, {"choices": desks[told["model"]].score(told["prompt"], told["logprobs"])})
        else:
            desk, most = desks[told["model"]], told.get("logprobs", 0)
            self._answer(200, {"choices": desk.write(told["prompt"], told["max_tokens"], told["n"], most)})

    def _answer(self, status: int, told: dict[str, Any]) -> None:
        body = json.dumps(told).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


def main() -> None:
    """Teach, write the settings, and serve until interrupted."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--port", type=int, default=0, help="a free one when left out")
    parser.add_argument("--prompts", type=int, default=80)
    chosen = parser.parse_args()
    server = ThreadingHTTPServer(("127.0.0.1", chosen.port), Counter)
    server.desks = teach(chosen.folder, chosen.prompts)  # type: ignore[attr-defined]
    settings = SETTINGS.replace("PORT", str(server.server_port))
    (chosen.folder / "settings.toml").write_text(settings, encoding="utf-8")
    sys.stdout.write(f"Serving suspect, control and ours at http://127.0.0.1:{server.server_port}/v1\n")
    sys.stdout.flush()
    server.serve_forever()


if __name__ == "__main__":
    main()
