"""Timestamps of heads, from a timestamp authority of the test's own: OpenSSL with a root that it made."""

from __future__ import annotations

import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from tests.required import required
from tests.unit.cases_stand import busy, filled
from typer.testing import CliRunner

from clonewatch.cli.main import app

pytestmark = required("timestamps", [] if shutil.which("openssl") else ["openssl"])
CONFIGURATION = """
[req]
distinguished_name=name
[name]
[ca]
basicConstraints=critical,CA:TRUE
keyUsage=critical,keyCertSign,cRLSign
subjectKeyIdentifier=hash
[leaf]
basicConstraints=critical,CA:FALSE
keyUsage=critical,digitalSignature
extendedKeyUsage=critical,timeStamping
subjectKeyIdentifier=hash
authorityKeyIdentifier=keyid
[tsa]
default_tsa=authority
[authority]
dir=.
serial=./serial
crypto_device=builtin
signer_cert=./leaf.pem
signer_key=./leaf.key
signer_digest=sha256
default_policy=1.2.3.4.1
digests=sha256,sha512
accuracy=secs:1
ess_cert_id_alg=sha256
"""


def ask(*words: object) -> Any:
    return CliRunner().invoke(app, [str(w) for w in words])


def openssl(folder: Path, *words: str) -> None:
    subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)


def authority(folder: Path) -> Path:
    """A timestamp authority; returns its folder."""
    folder.mkdir()
    (folder / "ca.cnf").write_text(CONFIGURATION, encoding="ascii")
    (folder / "serial").write_text("01\n", encoding="ascii")
    key = ("-newkey", "rsa:2048", "-nodes", "-config", "ca.cnf")
    made = ("-days", "3650", "-subj", "/CN=A root", "-extensions", "ca", "-keyout", "ca.key", "-out", "ca.pem")
    openssl(folder, "req", "-x509", *key, *made)
    openssl(folder, "req", "-new", *key, "-subj", "/CN=An authority", "-keyout", "leaf.key", "-out", "leaf.csr")
    signed = ("-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "3650", "-extfile", "ca.cnf")
    openssl(folder, "x509", "-req", "-in", "leaf.csr", *signed, "-extensions", "leaf", "-out", "leaf.pem")
    return folder


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store, a witness of its head, and the answer of an authority about that head."""
    home = tmp_path_factory.mktemp("timestamps")
    store = filled(str(home / "cases.db"))
    done = ask("log", "head", home / "cases.db", "--out", home / "witness.json", "--request", home / "query.tsq")
    assert done.exit_code == 0 and "Send" in done.stdout, done.output
    folder = authority(home / "authority")
    sign = ("ts", "-reply", "-config", "ca.cnf", "-section", "authority", "-queryfile", "../query.tsq")
    openssl(folder, *sign, "-out", "../reply.tsr")
    busy(store)
    return home


def verified(home: Path, **changed: Path) -> Any:
    files = {
        "witness": home / "witness.json",
        "timestamp": home / "reply.tsr",
        "authority": home / "authority" / "ca.pem",
    }
    words = [word for name, path in (files | changed).items() for word in (f"--{name}", path)]
    return ask("log", "verify", home / "cases.db", *words)


def test_a_head_was_there_when_the_authority_says_so(home: Path) -> None:
    done = verified(home)
    assert done.exit_code == 0, done.output
    assert "An authority signed that the head of 2 entries existed on " in done.stdout
    assert f"{datetime.now(UTC):%Y-}" in done.stdout


def test_the_timestamp_of_another_head_is_refused(home: Path, tmp_path: Path) -> None:
    later = tmp_path / "later.json"
    assert ask("log", "head", home / "cases.db", "--out", later).exit_code == 0
    done = verified(home, witness=later)
    assert done.exit_code == 3 and "the timestamp does not hold: Mismatch between messages" in done.stderr


def test_an_authority_of_another_root_is_refused(home: Path, tmp_path: Path) -> None:
    done = verified(home, authority=authority(tmp_path / "other") / "ca.pem")
    assert done.exit_code == 3 and "the timestamp does not hold" in done.stderr


def test_a_changed_answer_is_refused(home: Path, tmp_path: Path) -> None:
    held, changed = (home / "reply.tsr").read_bytes(), tmp_path / "reply.tsr"
    token = range(held.index(b"\x06\x0b\x2a\x86\x48\x86\xf7\x0d\x01\x09\x10\x01\x04"), len(held), 97)
    for place in token:
        changed.write_bytes(held[:place] + bytes([held[place] ^ 1]) + held[place + 1 :])
        assert verified(home, timestamp=changed).exit_code == 3, place


def test_what_is_missing_is_named(home: Path, tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no certificate", encoding="ascii")
    assert "no certificate in PEM" in verified(home, authority=tmp_path / "text").stderr
    assert "does not hold" in verified(home, timestamp=tmp_path / "text").stderr
    assert "cannot read it" in verified(home, timestamp=tmp_path / "none").stderr
    alone = ask("log", "verify", home / "cases.db", "--timestamp", home / "reply.tsr")
    assert alone.exit_code == 2 and "--authority" in alone.stderr
