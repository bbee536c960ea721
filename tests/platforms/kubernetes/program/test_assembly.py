from __future__ import annotations

import time

import pytest

from platforms.kubernetes.database import Database
from platforms.kubernetes.program.assembly import Assembly
from platforms.kubernetes.program.counts import ASKED, Counts
from platforms.kubernetes.program.known import Known
from platforms.kubernetes.spec import RolloutSpec
from rollout.core.state import RolloutState
from services.measuring import Measuring
from services.memory import MemoryInvoke
from tests.platforms.kubernetes.fake_api import FakeApi
from tests.platforms.kubernetes.program.test_counts import read
from tests.rollout.worlds import release

SPEC = RolloutSpec("prod", "m", "g", "http://p:9090", measuring=Measuring(probe_minutes=3))


def test_what_looks_at_all_endpoints_goes_by_the_servers_clock() -> None:
    api, counts, known = FakeApi(), Counts("models"), Known()
    api.clock.ahead = -3600.0
    state = RolloutState("e", champion=release("a")).to_json()
    known.learn({"metadata": {"name": "e"}, "spec": SPEC.as_dict(), "status": {"state": state}})
    assembly = Assembly(api.as_api, "controller", counts)

    probes = assembly.probes(lambda *_: b'{"instances": [{"a": 1}]}', known)
    probes.invoke = lambda _: MemoryInvoke({})
    for name in probes.due(["e"]):
        probes.run(name)
    hour_ago = pytest.approx(time.time() - 3600, abs=600)
    assert read(counts)[ASKED.name, (("endpoint", "e"), ("namespace", "models"))] == hour_ago
    database = Database.of("postgresql://modelstack@db.example/modelstack")
    assert assembly.monitors(database, lambda *_: None, known).now() == hour_ago
