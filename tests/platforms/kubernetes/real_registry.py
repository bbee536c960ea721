"""A real registry, Debian's `docker-registry`, and a bad line to it."""

from __future__ import annotations

import ipaddress
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from localcloud.testing import free_port

LOGIN = ("ana", "secret")
_HASHED = "$2b$05$DOC7gXt9D30t5KyVpiZiy.AZQMsyTA3/1rxlzFsFJqEuHKLJltPM6"
"""The password as the registry wants it, by bcrypt."""


@contextmanager
def running(folder: Path, *, login: bool = False, tls: Path | None = None) -> Iterator[str]:
    """A registry on a free port of this machine, until the block ends; yields its HOST:PORT.

    Args:
        folder: Where it keeps everything.
        login: Whether only `LOGIN` may use it; else everybody may.
        tls: A folder with `cert.pem` and `key.pem`; None for plain HTTP.
    """
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    config = {
        "version": 0.1,
        "log": {"level": "error"},
        "storage": {"filesystem": {"rootdirectory": str(folder / "data")}, "delete": {"enabled": True}},
        "http": {"addr": f"127.0.0.1:{port}", "secret": "of nobody"},
    }
    if login:
        (folder / "htpasswd").write_text(f"{LOGIN[0]}:{_HASHED}\n")
        config["auth"] = {"htpasswd": {"realm": "tests", "path": str(folder / "htpasswd")}}
    if tls:
        config["http"]["tls"] = {"certificate": str(tls / "cert.pem"), "key": str(tls / "key.pem")}
    (folder / "config.yml").write_text(yaml.safe_dump(config))
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen(["docker-registry", "serve", str(folder / "config.yml")], stdout=log, stderr=log)
    try:
        end = time.monotonic() + 60
        while True:
            with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            assert process.poll() is None and time.monotonic() < end, (folder / "log").read_text()
            time.sleep(0.02)
        yield f"127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(30)


def certificate(folder: Path) -> Path:
    """Make a certificate of this machine's own, which is its own CA; returns the file to trust."""
    folder.mkdir(parents=True, exist_ok=True)
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "tests")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (folder / "cert.pem").write_bytes(made.public_bytes(Encoding.PEM))
    (folder / "key.pem").write_bytes(pem)
    return folder / "cert.pem"


@contextmanager
def bad_line(host: str, lasts: int, breaks: int) -> Iterator[str]:
    """A way to a server whose connections end after so many bytes were sent, the first few times; yields HOST:PORT.

    Args:
        host: HOST:PORT of the server.
        lasts: How many bytes a client may send on a connection that will break.
        breaks: How many connections break that carry so much.
    """
    listener = socket.create_server(("127.0.0.1", 0))
    left = [breaks]

    def carry(client: socket.socket) -> None:
        name, _, port = host.partition(":")
        with client, socket.create_connection((name, int(port))) as server:
            back = threading.Thread(target=_copy, args=(server, client), daemon=True)
            back.start()
            sent = 0
            with suppress(OSError):
                while block := client.recv(65536):
                    sent += len(block)
                    if left[0] and sent > lasts:
                        left[0] -= 1
                        break
                    server.sendall(block)
            with suppress(OSError):
                server.shutdown(socket.SHUT_RDWR)
            back.join()

    def accept() -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=carry, args=(listener.accept()[0],), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield f"127.0.0.1:{listener.getsockname()[1]}"
    finally:
        listener.close()


def _copy(source: socket.socket, to: socket.socket) -> None:
    with suppress(OSError):
        while block := source.recv(65536):
            to.sendall(block)
    with suppress(OSError):
        to.shutdown(socket.SHUT_RDWR)
