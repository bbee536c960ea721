"""Asks something from within the box of `conftest.py`, with the standard library: what it prints is the answer.

python inside.py get URL [NAME=VALUE ...]    # the status, and the body
python inside.py resolve NAME SERVER         # the addresses of a name, by DNS
python inside.py connects HOST:PORT          # yes or no
python inside.py push FILE COMMAND           # the reference of an image of one file
"""

from __future__ import annotations

import socket
import struct
import sys
import tempfile
import urllib.error
import urllib.request
from pathlib import Path


def get(url: str, *headers: str) -> str:
    request = urllib.request.Request(url, headers=dict(header.split("=", 1) for header in headers))
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=5) as answered:
            return f"{answered.status} {answered.read().decode()}"
    except urllib.error.HTTPError as error:
        return f"{error.code} {error.read().decode()}"
    except OSError as error:
        return f"0 {error}"


def resolve(name: str, server: str) -> str:
    asked = b"".join(bytes([len(part)]) + part.encode() for part in name.split("."))
    query = struct.pack(">HHHHHH", 7, 0x0100, 1, 0, 0, 0) + asked + b"\0" + struct.pack(">HH", 1, 1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sent:
        sent.settimeout(5)
        sent.sendto(query, (server, 53))
        said = sent.recv(4096)
    count = struct.unpack(">H", said[6:8])[0]
    return socket.inet_ntoa(said[-4:]) if count else "nothing"


def connects(address: str) -> str:
    host, _, port = address.partition(":")
    try:
        socket.create_connection((host, int(port)), timeout=2).close()
    except OSError:
        return "no"
    return "yes"


def push(file: str, command: str) -> str:
    from localcloud.cluster import images
    from localcloud.cluster.layout import REGISTRY

    with tempfile.TemporaryDirectory() as folder:
        entries = [images.Entry(command.lstrip("/"), Path(file), 0o755), *images.libraries(Path(file))]
        image = images.of(entries, Path(folder), command=[command])
        return images.push(image, REGISTRY, "tests/program")


if __name__ == "__main__":
    print({"get": get, "resolve": resolve, "connects": connects, "push": push}[sys.argv[1]](*sys.argv[2:]))
