"""Timestamps of heads after RFC 3161: the request for an authority, and its answer checked offline."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from cryptography import x509
from rfc3161_client import TimestampRequestBuilder, VerificationError, VerifierBuilder, decode_timestamp_response

from clonewatch.model import whole_files
from clonewatch.model.errors import InputError, LogError
from clonewatch.model.text_files import bytes_of


def write_request(path: Path, note: str) -> None:
    """Write the request to timestamp a signed head, for any way to send it. Raises OutputError."""
    whole_files.write(path, TimestampRequestBuilder().data(note.encode()).build().as_bytes(), what="the request")


def stamped(reply: Path, note: str, authority: Path) -> datetime:
    """When an authority says that a signed head existed.

    reply: its answer, as it came. authority: its root certificate (PEM), got from elsewhere; certificates between may
    follow in the same file. Raises LogError if the answer is not about this head, or not signed under that root;
    InputError if a file cannot be read.
    """
    try:
        root, *between = x509.load_pem_x509_certificates(_read(authority))
    except ValueError as error:
        raise InputError("this is no certificate in PEM", where=str(authority)) from error
    verifier = VerifierBuilder().add_root_certificate(root)
    for certificate in between:
        verifier = verifier.add_intermediate_certificate(certificate)
    try:
        answer = decode_timestamp_response(_read(reply))
        verifier.build().verify_message(answer, note.encode())
    except (ValueError, VerificationError) as error:
        said = " ".join(str(error).split())
        raise LogError(f"the timestamp does not hold: {said}", where=str(reply)) from error
    return answer.tst_info.gen_time


def _read(path: Path) -> bytes:
    try:
        return bytes_of(path)
    except OSError as error:
        raise InputError(f"cannot read it: {error.strerror}", where=str(path)) from error
