"""The signature of a bundle: a DSSE envelope around an in-toto statement that names every file by its SHA-256."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from clonewatch.cases.heads import PublicKey, Signer, public_key
from clonewatch.kernels.signing_keys import private_key
from clonewatch.model.errors import InputError, LogError
from clonewatch.model.text_files import bytes_of

NAME = "dossier.intoto.json"
PAYLOAD = "application/vnd.in-toto+json"
STATEMENT = "https://in-toto.io/Statement/v1"
PREDICATE = "urn:clonewatch:dossier:v1"
# The name of a key that signs dossiers and is not that of a log.
_OWN = "dossier"


class Signed(NamedTuple):
    """What an envelope says. key: who signed. files: SHA-256 in hex by path. predicate: what else was signed."""

    key: PublicKey
    files: dict[str, str]
    predicate: dict[str, Any]


def sealed(files: Mapping[str, bytes], predicate: Mapping[str, Any], signer: Signer) -> bytes:
    """The signed envelope over these files, by path."""
    subject = [{"digest": {"sha256": sha256(data).hexdigest()}, "name": name} for name, data in sorted(files.items())]
    statement = {"_type": STATEMENT, "predicate": dict(predicate), "predicateType": PREDICATE, "subject": subject}
    payload = spelled(statement)
    signature = signer.private.sign(_to_sign(payload))
    return spelled(
        {
            "payload": base64.b64encode(payload).decode(),
            "payloadType": PAYLOAD,
            "signatures": [{"keyid": signer.public.text, "sig": base64.b64encode(signature).decode()}],
        }
    )


def opened(data: bytes, expected: PublicKey | None = None) -> Signed:
    """What an envelope says, if its signature holds. expected: the key that has to have signed it. Raises LogError."""
    held = strict(data, "the envelope")
    try:
        ((keyid, signature),) = [(one["keyid"], one["sig"]) for one in held["signatures"]]
        key = public_key(keyid)
        payload = base64.b64decode(held["payload"], validate=True)
        if held["payloadType"] != PAYLOAD or spelled(_shape(held, payload)) != data:
            raise ValueError("it is not spelled as this program spells it")
        Ed25519PublicKey.from_public_bytes(key.key).verify(
            base64.b64decode(signature, validate=True), _to_sign(payload)
        )
        statement = strict(payload, "the statement")
        files = {one["name"]: one["digest"]["sha256"] for one in statement["subject"]}
        if (statement["_type"], statement["predicateType"]) != (STATEMENT, PREDICATE):
            raise ValueError("it is no statement about a dossier")
        if len(files) != len(statement["subject"]):
            raise ValueError("it names a file twice")
        found = Signed(key, files, dict(statement["predicate"]))
    except InvalidSignature as error:
        raise LogError("the signature of the bundle does not hold") from error
    except (ValueError, KeyError, TypeError) as error:
        raise LogError(f"the envelope cannot be read: {error}") from error
    if expected and expected.key != key.key:
        raise LogError(f"the bundle is signed by another key: {key.text}")
    return found


def signing_key(path: Path) -> Signer:
    """An Ed25519 key in PEM, such as `openssl genpkey -algorithm ed25519` writes. Raises KeyFileError."""
    return Signer(_OWN, private_key(path))


def known_key(given: str) -> PublicKey:
    """A public key: the text of a verifier key, or a file that holds it or a public key in PEM. Raises InputError."""
    text = given
    if "+" not in given or Path(given).is_file():
        try:
            text = bytes_of(Path(given)).decode("ascii").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise InputError("cannot read the public key", where=given, fix="Pass its text or its file") from error
    try:
        if text.startswith("-----BEGIN"):
            key = load_pem_public_key(text.encode())
            if isinstance(key, Ed25519PublicKey):
                return PublicKey(_OWN, key.public_bytes_raw())
        return public_key(text)
    except (ValueError, LogError) as error:
        raise InputError(
            "this is no public key", where=given[:60], fix="It reads name+hash+key, or is an Ed25519 key in PEM"
        ) from error


def spelled(value: object) -> bytes:
    """The one spelling of a JSON value in a bundle."""
    return (json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":")) + "\n").encode()


def strict(data: bytes, what: str) -> Any:
    """A JSON value, refused unless it is spelled as `spelled` does. Raises LogError."""
    try:
        held = json.loads(data)
        if spelled(held) == data:
            return held
    except (ValueError, RecursionError) as error:
        raise LogError(f"{what} cannot be read: {error}") from error
    raise LogError(f"{what} is not spelled as this program spells it")


def _shape(held: Mapping[str, Any], payload: bytes) -> dict[str, Any]:
    """An envelope with nothing beside what belongs there, its base64 spelled anew."""
    (one,) = held["signatures"]
    signature = base64.b64encode(base64.b64decode(one["sig"], validate=True)).decode()
    return {
        "payload": base64.b64encode(payload).decode(),
        "payloadType": held["payloadType"],
        "signatures": [{"keyid": one["keyid"], "sig": signature}],
    }


def _to_sign(payload: bytes) -> bytes:
    """What DSSE signs: the pre-authentication encoding."""
    kind = PAYLOAD.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)
