"""Check a dossier without Clonewatch: python verify_dossier.py FOLDER [KEY].

KEY is the public key of whoever signed it, as text (name+hash+key), received another way than the folder. Checked are
signature, SHA-256 of every file, proofs of the log, and every figure, anew. Exit code 0 if all of it holds, 3 if not.
"""

import base64
import json
import math
import sys
import tomllib
from collections import Counter
from functools import partial
from hashlib import sha256
from itertools import product
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

ENVELOPE, LOG, KIND = "dossier.intoto.json", "log.json", b"application/vnd.in-toto+json"
READ = ["score", "threshold_ratio", "odds_bits", "evidence_odds_bits", "p_value", "p_n", "e_value", "stability"]
dumps = partial(json.dumps, ensure_ascii=False, separators=(",", ":"))


def check(holds, otherwise):
    """Refuse the bundle unless something holds."""
    if not holds:
        raise ValueError(otherwise)


def strict(data, what):
    """A JSON value that is spelled in the one way that bundles use."""
    value = json.loads(data)
    check((dumps(value, sort_keys=True) + "\n").encode() == data, f"{what} is not spelled as it should be")
    return value


def decoded(text):
    """Bytes from base64 that has one spelling."""
    data = base64.b64decode(text, validate=True)
    check(base64.b64encode(data).decode() == text, "base64 is not spelled as it should be")
    return data


def public(text):
    """Name, four bytes of hash, and Ed25519 key of a verifier key: name+hash+key."""
    name, hash_, key = text.split("+", 2)
    raw = decoded(key)
    own = sha256(f"{name}\n".encode() + raw).digest()[:4]
    check(raw[:1] == b"\x01" and hash_ == own.hex(), "this is no key")
    return name, own, Ed25519PublicKey.from_public_bytes(raw[1:])


def signed(files, expected):
    """The statement of the envelope, if its signature holds and names exactly these files."""
    held = strict(files[ENVELOPE], ENVELOPE)
    (one,) = held["signatures"]
    check(len(held) == 3 and len(one) == 2 and held["payloadType"].encode() == KIND, "this is a foreign envelope")
    check(expected in (None, one["keyid"]), f"it is signed by another key: {one['keyid']}")
    payload = decoded(held["payload"])
    to_sign = b"DSSEv1 %d %b %d %b" % (len(KIND), KIND, len(payload), payload)
    public(one["keyid"])[2].verify(decoded(one["sig"]), to_sign)
    statement = strict(payload, "the statement")
    check(statement["_type"] == "https://in-toto.io/Statement/v1", "the envelope holds no in-toto statement")
    check(statement["predicateType"] == "urn:clonewatch:dossier:v1", "another kind of statement")
    named = {s["name"]: s["digest"]["sha256"] for s in statement["subject"]}
    here = {name: sha256(data).hexdigest() for name, data in files.items() if name != ENVELOPE}
    for name in sorted(named.keys() | here.keys()):
        check(named.get(name) == here.get(name), f"{name} was changed, is missing or does not belong to the bundle")
    return statement, one["keyid"]


def head_of(log):
    """Size and root of the log, from its signed head."""
    name, own, key = public(log["key"])
    text, line = log["head"].split("\n\n")
    proof = decoded(line.removeprefix(f"\u2014 {name} ").removesuffix("\n"))
    check(proof[:4] == own and text.startswith(f"{name}\n"), "the head is of another log")
    key.verify(proof[4:], (text + "\n").encode())
    return int(text.split("\n")[1]), decoded(text.split("\n")[2])


def in_log(entry, size, root):
    """Whether the proof of an entry leads to the root (RFC 9162, section 2.1.3.2)."""
    place, last = entry["number"], size - 1
    found = sha256(b"\x00" + entry["body"].encode()).digest()
    if not 0 <= place < size:
        return False
    for step in map(bytes.fromhex, entry["proof"]):
        if last == 0:
            return False
        if place & 1 or place == last:
            found = sha256(b"\x01" + step + found).digest()
            while not place & 1 and place:
                place, last = place >> 1, last >> 1
        else:
            found = sha256(b"\x01" + found + step).digest()
        place, last = place >> 1, last >> 1
    return last == 0 and found == root


def logged(files, case, accounts):
    """Check the entries of the log, the accounts of the case, and that the export was logged."""
    size, root = head_of(log := strict(files[LOG], LOG))
    entries = {e["number"]: json.loads(e["body"]) for e in log["entries"]}
    for entry in log["entries"]:
        check(in_log(entry, size, root), f"entry {entry['number']} is not proved to be in the log")
        check(case in entries[entry["number"]]["of"], f"entry {entry['number']} is about another case")
    for note in log["notes"]:
        digest = sha256(f"{note['salt']}\n{note['text']}".encode()).hexdigest()
        check(digest == entries[note["entry"]]["note"], f"the note of entry {note['entry']} was changed")
    states = [c for n in sorted(entries) for c in entries[n]["cases"] if c["case"] == case]
    digest = sha256(dumps(sorted(set(accounts))).encode()).hexdigest()
    check(states[-1]["accounts"] == digest, "the accounts are not those of the case")
    lines = sorted(f"{sha256(d).hexdigest()}  {n}\n" for n, d in files.items() if n not in (LOG, ENVELOPE))
    exports = {n["text"] for n in log["notes"] if entries[n["entry"]]["what"] == "export"}
    check(
        "dossier " + sha256("".join(lines).encode()).hexdigest() in exports,
        "the log has no entry about the export of these files",
    )
    return size


def figures(tables, scan, prices):
    """Every figure of the dossier, from its tables."""
    campaign, members = tables["campaigns"][0], tables["members"]
    own = {m["account_id"] for m in members if m["role"] != "proxy_customer"}
    attributed = sum(a["posterior"] >= 0.5 for a in tables["attribution"])
    days, tasks, roles = Counter(), Counter(), Counter(m["role"] for m in members)
    for row in tables["timeline"]:
        days[row["day"]] += row["harvested"]
        tasks[row["task"]] += row["harvested"]
    active, bits = sum(n > 0 for n in days.values()), [e["bits"] for e in tables["evidence"]]
    values = {name: campaign[name] for name in READ}
    found = {name: None if value is None or not math.isfinite(value) else value for name, value in values.items()}
    ends = {end: campaign[f"{end}_ts"] for end in ("first", "last")}
    found |= {f"{end}_attributed": moment and moment.isoformat() for end, moment in ends.items()}
    found |= {f"attributed_exchanges_by_task.{task}": n for task, n in tasks.items() if n}
    found |= {
        "log_exchanges": scan["counts"]["kept"],
        "log_accounts": scan["counts"]["accounts"],
        "linked_groups": len(scan["linked_groups"]),
        "accounts": len(own),
        "core_accounts": roles["core"],
        "bystanders": roles["proxy_customer"],
        "case_accounts": len(tables["case_accounts"]),
        "case_accounts_in_group": sum(a["account_id"] in own for a in tables["case_accounts"]),
        "exchanges": sum(a["account_id"] in own for a in tables["attribution"]),
        "attributed_exchanges": attributed,
        "active_days": active,
        "peak_day_exchanges": max(days.values(), default=0),
        "exchanges_per_account_day": attributed / (len(own) * active) if own and active else None,
        "shared_things": len(tables["attributes"]),
        "evidence_for": sum(b > 0 for b in bits),
        "evidence_against": sum(b < 0 for b in bits),
        "families": len(campaign["families"] or ()),
    }
    if "usage" in tables:
        known = [u for u in tables["usage"] if u["known"]]
        found |= {f"{way}_tokens": sum(u[f"{way}_tokens"] for u in known) for way in ("input", "output")}
        found["exchanges_with_tokens"] = len(known)
    if "usage" in tables and prices:
        priced, parts = [u for u in known if u["model"] in prices["models"]], []
        for model, way in product({u["model"] for u in priced}, ("input", "output")):
            parts.append(prices["models"][model][way] * sum(u[f"{way}_tokens"] for u in priced if u["model"] == model))
        found |= {"exchanges_priced": len(priced), "list_price": round(math.fsum(parts) / 1e6, 2)}
    return found


def verify(folder, expected=None):
    """Check a bundle; returns what can be said of it. Raises ValueError, and others."""
    paths = [p for p in sorted(folder.rglob("*")) if p.is_symlink() or not p.is_dir()]
    check(all(p.is_file() and not p.is_symlink() for p in paths), "there is something that is no regular file")
    files = {p.relative_to(folder).as_posix(): p.read_bytes() for p in paths}
    statement, key = signed(files, expected)
    dossier, scan = strict(files["dossier.json"], "dossier.json"), json.loads(files["scan.json"])
    check(dossier["schema"] == "clonewatch.dossier.v1", "dossier.json is of another kind")
    check(statement["predicate"]["case"] == (case := dossier["case"]["id"]), "the signature is about another case")
    parquet = {Path(name).stem: data for name, data in files.items() if name.startswith("tables/")}
    tables = {name: pq.read_table(pa.BufferReader(data)).to_pylist() for name, data in parquet.items()}
    size = logged(files, case, [a["account_id"] for a in tables["case_accounts"]])
    prices = tomllib.loads(files["prices.toml"].decode()) if "prices.toml" in files else None
    anew, told = figures(tables, scan, prices), {f["name"]: f["value"] for f in dossier["figures"]}
    for name in sorted(anew.keys() | told.keys()):
        check(name in anew and name in told and anew[name] == told[name], f"figure {name} is not what the tables say")
    return (
        f"holds: {len(files)} files, {len(told)} figures, {size} entries in the log, signed with {key}\n"
        + dossier["status"]["said"]
    )


if __name__ == "__main__":
    try:
        sys.stdout.write(verify(Path(sys.argv[1]), *sys.argv[2:3]) + "\n")
    except (InvalidSignature, AttributeError, LookupError, OSError, RuntimeError, TypeError, ValueError) as error:
        sys.stdout.write(f"refused: {str(error) or type(error).__name__}\n")
        sys.exit(3)
