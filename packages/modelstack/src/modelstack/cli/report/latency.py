"""Measures the latency of packages on this machine, served by this checkout's runtime, in turns."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median

from modelstack.cli.errors import OperatorError
from modelstack.cli.loadtest import Load, LoadTarget, run
from modelstack.cli.local.package import begun
from modelstack.cli.report.facts import Latency
from modelstack.pipeline import archive

_TURNS, _TURN = 4, 0.5  # how often each is asked, and for how many seconds
_PATIENCE = 30.0  # seconds until a server answers


def latencies(sealed: Sequence[Path], manifests: Sequence[str], log: Path) -> list[Latency]:
    """The latency of verified, unpacked packages: medians over turns, so that a busy moment affects all alike.

    `manifests` are their sha256, hex; `log` takes the servers' output. OperatorError if one fails on its own example.
    """
    with ExitStack() as running:
        urls = [running.enter_context(_served(*one, log)) for one in zip(sealed, manifests, strict=True)]
        found: list[list[Latency]] = [[] for _ in urls]
        for _ in range(_TURNS):
            for place, url in enumerate(urls):
                found[place].append(_asked(url, (sealed[place] / archive.EXAMPLE).read_bytes()))
    return [Latency(median(one.p50_ms for one in each), median(one.p99_ms for one in each)) for each in found]


def _asked(url: str, body: bytes) -> Latency:
    seen = run(LoadTarget.of(url), body, Load(seconds=_TURN, connections=1))
    if set(seen.statuses) != {200}:
        raise OperatorError(f"the package's own example was answered with status {sorted(seen.statuses)}, expected 200")
    return Latency(1000 * seen.at(50), 1000 * seen.at(99))


@contextmanager
def _served(sealed: Path, manifest: str, log: Path) -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with log.open("a") as said:
        process = begun(sealed, manifest, port, log=said)
        try:
            end = time.monotonic() + _PATIENCE
            while not _answers(port):
                if process.poll() is not None or time.monotonic() > end:
                    last = (log.read_text().strip().splitlines() or ["it said nothing"])[-1]
                    raise OperatorError(f"the package cannot be served: {last}")
                time.sleep(0.05)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait()


def _answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=2) as there:
            there.sendall(b"GET /ping HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
            return there.recv(64).startswith(b"HTTP/1.1 200")
    except OSError:
        return False
