"""Receivers on loopback that the tests of messages to others share: HTTP, TLS with an authority of its own, mail."""

from __future__ import annotations

import datetime
import ipaddress
import socket
import socketserver
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

SECRET = "whsec_" + "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
BACKLOG = 64


class Receiver(ThreadingHTTPServer):
    """Keeps what comes in, and answers as `behaviour` says."""

    daemon_threads = True
    request_queue_size = BACKLOG

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.got: list[tuple[str, dict[str, str], bytes]] = []
        self.behaviour = "ok"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/in"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that hang up are what is tested."""


class _Handler(BaseHTTPRequestHandler):
    server: Receiver

    def log_message(self, *_: object) -> None:
        pass

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.got.append((self.path, {k.lower(): v for k, v in self.headers.items()}, body))
        how = self.server.behaviour
        if how == "slow":
            with suppress(OSError):
                while True:  # one byte of the status line now and then, for ever
                    self.wfile.write(b"H")
                    time.sleep(0.05)
        elif how == "huge":
            self.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
            with suppress(OSError):
                while True:
                    self.wfile.write(b"x" * 65536)
        elif how == "endless head":
            with suppress(OSError):
                self.wfile.write(b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 500_000)
        elif how == "no http":
            self.wfile.write(b"\x00\xff secret=1\r\n\r\n")
        else:
            self.send_response({"ok": 204, "moved": 307, "gone": 410, "busy": 429}.get(how, 500))
            if how == "moved":
                self.send_header("location", self.server.url.replace("/in", "/elsewhere"))
            if how == "busy":
                self.send_header("retry-after", "7200")
            self.end_headers()


@contextmanager
def receiving() -> Iterator[Receiver]:
    """A receiver of webhooks."""
    server = Receiver()
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


class Mail(socketserver.ThreadingTCPServer):
    """Takes mail."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Mail)
        self.got: list[str] = []


class _Mail(socketserver.StreamRequestHandler):
    server: Mail

    def handle(self) -> None:
        self.wfile.write(b"220 here\r\n")
        for line in self.rfile:
            word = line[:4].upper().strip()
            if word == b"DATA":
                self.wfile.write(b"354 go on\r\n")
                lines = list(iter(self.rfile.readline, b".\r\n"))
                self.server.got.append(b"".join(lines).decode())
            self.wfile.write(b"221 bye\r\n" if word == b"QUIT" else b"250 fine\r\n")
            if word == b"QUIT":
                return


@contextmanager
def mailbox() -> Iterator[Mail]:
    """A mail server."""
    server = Mail()
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


def authority(folder: Path, *names: str) -> tuple[Path, Path]:
    """A certificate for these names with its key in one file, and the authority that signed it in another."""
    now = datetime.datetime.now(datetime.UTC)
    day = datetime.timedelta(days=1)
    root_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())

    def made(name: str, of: ec.EllipticCurvePrivateKey, root: bool) -> x509.Certificate:
        called = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "root")])
        signer = x509.CertificateBuilder().subject_name(called).issuer_name(issuer).public_key(of.public_key())
        signer = (
            signer.serial_number(x509.random_serial_number()).not_valid_before(now - day).not_valid_after(now + day)
        )
        signer = signer.add_extension(x509.BasicConstraints(ca=root, path_length=None), critical=True)
        own = x509.SubjectKeyIdentifier.from_public_key(of.public_key())
        of_root = x509.AuthorityKeyIdentifier.from_issuer_public_key(root_key.public_key())
        signer = signer.add_extension(own, critical=False).add_extension(of_root, critical=False)
        if root:
            usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
            signer = signer.add_extension(usage, critical=True)
        else:
            held: list[x509.GeneralName] = [
                x509.IPAddress(ipaddress.ip_address(n)) if n[0].isdigit() else x509.DNSName(n) for n in names
            ]
            signer = signer.add_extension(x509.SubjectAlternativeName(held), critical=False)
        return signer.sign(root_key, hashes.SHA256())

    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    both, root = folder / "server.pem", folder / "root.pem"
    both.write_bytes(private + made(names[0], key, False).public_bytes(pem))
    root.write_bytes(made("root", root_key, True).public_bytes(pem))
    return both, root


def secured(server: Receiver, certificate: Path) -> None:
    """Let a receiver speak TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server.socket = context.wrap_socket(server.socket, server_side=True)


@contextmanager
def standing_in(certificate: Path) -> Iterator[tuple[int, list[bytes]]]:
    """A proxy that answers itself, over TLS, for whatever host it should connect to; its port, and what it got."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    got: list[bytes] = []
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with suppress(OSError):
            while True:
                plain, _ = listener.accept()
                with plain:
                    got.append(plain.recv(4096).split(b"\r\n")[0])
                    plain.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
                    with context.wrap_socket(plain, server_side=True) as safe:
                        data = b""
                        while b"\r\n\r\n" not in data:
                            data += safe.recv(65536)
                        head, _, body = data.partition(b"\r\n\r\n")
                        length = next(
                            int(line.split(b":")[1])
                            for line in head.split(b"\r\n")
                            if line.lower().startswith(b"content-length:")
                        )
                        while len(body) < length:
                            body += safe.recv(65536)
                        got.append(body)
                        safe.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield listener.getsockname()[1], got
    finally:
        listener.close()
