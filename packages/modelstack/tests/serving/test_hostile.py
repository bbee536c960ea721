"""A worker that is attacked in every way of `hostile.py` at once."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from modelstack.serving.server import Limits
from modelstack.serving.supervisor import DRAIN_SECONDS
from tests.serving import hostile
from tests.serving.packages import INSTANCE, served, write

pytestmark = pytest.mark.e2e
MEMORY = 4 * Limits().buffered
"""What a worker may take in addition under attack: held bytes, the queue, a body that is read, and connections."""


def memory(pid: int, kind: str) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(kind))


def test_honest_clients_are_answered_and_memory_is_bounded_while_others_attack(tmp_path: Path):
    with served(tmp_path / "m", write(tmp_path / "m"), descriptors=264) as server:
        (worker,) = server.workers()
        idle = memory(worker, "VmRSS")
        words = [str(server.port), "/invocations", "400", "6"]
        body = json.dumps({"instances": [INSTANCE]}).encode()
        attack = subprocess.run(
            [sys.executable, hostile.__file__, *words], input=body, stdout=subprocess.PIPE, check=True
        )
        found = json.loads(attack.stdout)
        assert found["answered"] == found["sent"] > 0
        assert server.workers() == [worker]
        assert all(server.count("serving_failures_total", kind=kind) for kind in ("too_large", "bad_request"))
        assert memory(worker, "VmHWM") - idle < MEMORY
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(DRAIN_SECONDS + 5) == 0
    assert not [line for line in server.said if "Traceback" in line]
