from __future__ import annotations

import time

import pytest

from modelstack.platforms.kubernetes.database import Database
from modelstack.platforms.kubernetes.kinds import PACKAGE
from modelstack.platforms.kubernetes.names import ENDPOINT
from modelstack.platforms.kubernetes.program.assembly import Assembly
from modelstack.platforms.kubernetes.program.counts import ASKED, Counts
from modelstack.platforms.kubernetes.program.known import Known
from modelstack.platforms.kubernetes.spec import RolloutSpec
from modelstack.rollout.core.release import release_id
from modelstack.rollout.core.state import RolloutState
from modelstack.services.measuring import Measuring
from tests.platforms.kubernetes.fake_api import FakeApi
from tests.platforms.kubernetes.program.test_counts import read
from tests.rollout.worlds import release
from tests.services.memory import MemoryInvoke

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


def test_the_package_of_a_variant_that_has_left_the_journal_is_found_among_the_endpoints_versions() -> None:
    api = FakeApi()
    of = {"recipe": "r", "digest": "sha256:1", "image": "i", "manifestSha256": "2", "archive": "oci://h/r@sha256:1"}
    labels = {ENDPOINT: "e"}
    monitors = Assembly(api.as_api, "controller", Counts("models")).monitors(
        Database.of("postgresql://modelstack@db.example/modelstack"), lambda *_: None, Known()
    )
    variant = f"v-{release_id('r', 'i')}"
    assert monitors.find("e", variant) is None
    api.create(PACKAGE, {"metadata": {"name": "one", "labels": labels}, "spec": of}, manager="program")
    assert monitors.find("other", variant) is None
    for _ in range(2):
        found = monitors.find("e", variant)
        assert found
        assert (found.archive_uri, found.manifest_sha256) == ("oci://h/r@sha256:1", "2")
    assert api.calls.count(("list", "modelpackages")) == 3, "a version that was found is remembered"
