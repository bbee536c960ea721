"""The process itself over a real API server: two of it, killed in each state of a trial, and woken when none leads."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import uuid
from collections.abc import Generator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import httpx
import pytest

from localcloud.testing import free_port
from modelstack.platforms.kubernetes import access_token, names
from modelstack.platforms.kubernetes.api import Api
from modelstack.platforms.kubernetes.assembled import assembled
from modelstack.platforms.kubernetes.audit_records import PostgresRecords, uid
from modelstack.platforms.kubernetes.database import Database
from modelstack.platforms.kubernetes.journal import KubernetesJournal
from modelstack.platforms.kubernetes.kinds import LEASE, NAMESPACE, ROLLOUT
from modelstack.platforms.kubernetes.metrics import cluster
from modelstack.platforms.kubernetes.spec import RolloutSpec
from modelstack.records.audit.record import Signed
from modelstack.rollout.core.errors import Conflict
from modelstack.rollout.core.plan import Plan, Step
from modelstack.rollout.core.release import Release
from modelstack.rollout.core.state import Phase, RolloutState
from tests.platforms.kubernetes.apiserver import ApiServer
from tests.platforms.kubernetes.postgres import Server
from tests.platforms.kubernetes.program.scraped import Scraped, scraped
from tests.platforms.kubernetes.program.test_watching import until
from tests.platforms.kubernetes.world import ENDPOINT, GATEWAY, World, pair, solo
from tests.rollout.worlds import release as plain

ROOT = Path(__file__).resolve().parents[6]
A, B = solo("solo-a", "v-a"), solo("solo-b", "v-b")
PAIR = replace(pair(A, B), name="pair-ab")
PLAN = Plan(steps=(Step(10, 2), Step(50, 2)), window_seconds=1, max_seconds=300, settle_seconds=1, min_requests=50)
pytestmark = [pytest.mark.slow, pytest.mark.needs("apiserver")]


@dataclass
class Pods:
    kubeconfig: Path
    namespace: str
    folder: Path
    running: dict[str, tuple[subprocess.Popen[bytes], int]] = field(default_factory=dict)

    def start(self, pod: str, **more: str) -> None:
        port = free_port()
        told = {"NAMESPACE": self.namespace, "POD_NAME": pod, "PORT": str(port), "KUBECONFIG": str(self.kubeconfig)}
        told |= more
        environment = {"PATH": os.environ["PATH"], "PYTHONUNBUFFERED": "1", **told}
        words = [sys.executable, "-P", "-m", "modelstack.platforms.kubernetes.program"]
        with (self.folder / f"{pod}.log").open("ab") as log:
            process = subprocess.Popen(words, cwd=ROOT, env=environment, stdout=log, stderr=log)
        self.running[pod] = process, port

    def kill(self, pod: str) -> None:
        process, _ = self.running.pop(pod)
        process.kill()
        process.wait()

    def ready(self, pod: str) -> int:
        process, port = self.running[pod]

        def answers() -> bool:
            assert process.poll() is None, (self.folder / f"{pod}.log").read_text()
            try:
                return httpx.get(f"http://127.0.0.1:{port}/readyz").is_success
            except httpx.TransportError:
                return False

        until(answers, 60)
        return port


@dataclass(frozen=True)
class Stage:
    """A namespace where a is champion and b is declared, with a Prometheus and no controller yet."""

    world: World
    prometheus: Scraped
    pods: Pods

    @property
    def state(self) -> RolloutState:
        return KubernetesJournal(self.world.api, ENDPOINT).read()

    @property
    def over(self) -> bool:
        """Whether the rollout that was begun last has its verdict."""
        state = self.state
        return state.verdict is not None and state.verdict.rollout_id == state.rollout_id

    def release(self, name: str, *, pair_config: str | None = None, beside: str | None = None) -> None:
        """As `pulumi up` does, which waits for nothing."""
        spec = RolloutSpec("test", "flight-delay", GATEWAY, self.prometheus.url)
        rollout = assembled(self.world.api, ENDPOINT, spec, by="pulumi").controller
        rollout.release(self._release(name), pair_config, PLAN, beside=beside)

    def hold(self, pod: str, seconds: int) -> None:
        """Let a pod hold the Lease, or nobody."""
        spec = {"holderIdentity": pod, "leaseDurationSeconds": seconds}
        self.world.api.apply(LEASE, {"metadata": {"name": names.CONTROLLER}, "spec": spec}, "test", force=True)

    def _release(self, name: str) -> Release:
        return replace(plain(name), version=f"{self.world.api.namespace}/{name}")


@contextmanager
def followed(world: World) -> Generator[None]:
    """A gateway that takes the route as it stands, a moment after it has changed."""
    end = threading.Event()

    def follow() -> None:
        seen = 0
        while not end.wait(0.2):
            generation = world.route["metadata"]["generation"]
            if generation != seen:
                with suppress(Conflict):  # the route has changed in between: the next look takes it as it is then
                    world.gateway_follows()
                    seen = generation

    thread = threading.Thread(target=follow, daemon=True)
    thread.start()
    yield
    end.set()
    thread.join()


@pytest.fixture
def stage(server: ApiServer, tmp_path: Path) -> Generator[Stage]:
    api = Api(server.access(), f"models-{uuid.uuid4().hex[:8]}")
    api.create(NAMESPACE, {"metadata": {"name": api.namespace}})
    world = World(api, lambda *_: None)
    world.declare()
    clusters = {one.champion.variant: cluster(api.namespace, one.name) for one in (A, B)}
    with ExitStack() as stack:
        prometheus = stack.enter_context(scraped(api.namespace, ENDPOINT, clusters))
        spec = RolloutSpec("test", "flight-delay", GATEWAY, prometheus.url, period_seconds=1)
        api.apply(ROLLOUT, {"metadata": {"name": ENDPOINT}, "spec": spec.as_dict()}, names.PROGRAM)
        for config in (A, B, PAIR):
            world.config(config)
        for name in "ab":
            world.workload(f"solo-{name}")
            world.package(name)
        stack.enter_context(followed(world))
        made = Stage(world, prometheus, Pods(server.kubeconfig, api.namespace, tmp_path))
        yield made
        for pod in list(made.pods.running):
            made.pods.kill(pod)


def test_a_wake_is_answered_by_one_that_does_not_lead_and_the_champion_has_all_again(stage: Stage) -> None:
    stage.pods.start("one")
    stage.release("a")
    until(lambda: stage.state.phase is Phase.IDLE, 90)
    stage.pods.start("two")
    port = stage.pods.ready("two")
    stage.release("b", pair_config=PAIR.name, beside=A.name)
    until(lambda: stage.state.step_started_at is not None, 60)
    stage.pods.kill("one")
    stage.hold("one", 3600)  # so that nobody leads
    stage.prometheus.fail("v-b")
    access_token.make(stage.world.api, ENDPOINT, {})
    token = {"authorization": f"Bearer {access_token.read(stage.world.api, ENDPOINT)}"}
    wake = f"http://127.0.0.1:{port}/wake/{ENDPOINT}"
    assert httpx.post(wake).status_code == 401
    assert httpx.post(wake, headers=token).status_code == 202
    until(lambda: stage.world.weights().get("solo-b", 0) == 0, 60)
    told = f'action="rolled back",endpoint="{ENDPOINT}",namespace="{stage.world.api.namespace}"'
    line = f"modelstack_controller_alarms_total{{{told}}} 1.0"
    until(lambda: line in httpx.get(f"http://127.0.0.1:{port}/metrics").text, 60)
    stage.hold("", 1)
    until(lambda: stage.over, 60)
    assert stage.state.verdict is not None
    assert (stage.state.verdict.outcome, stage.state.verdict.reason.source) == ("rolled_back", "alarm")


@pytest.mark.needs("postgresql")
def test_captures_are_kept_and_the_audit_record_is_put_away(stage: Stage, postgres: Server) -> None:
    stage.pods.start("one", DATABASE_URL=postgres.url())
    port = stage.pods.ready("one")
    stage.release("a")
    until(lambda: stage.state.phase is Phase.IDLE and not stage.state.audit.waiting, 90)
    database = Database.of(postgres.url())
    try:
        lines = [
            Signed.from_line(line)
            for line in PostgresRecords(database, ENDPOINT, partial(uid, stage.world.api, ENDPOINT)).lines()
        ]
    finally:
        database.close()
    assert [signed.record.number for signed in lines] == list(range(1, stage.state.audit.number + 1))
    assert lines
    line = json.dumps({"eventMetadata": {"eventId": "1", "inferenceTime": "2026-01-01T00:00:00Z"}, "captureData": {}})
    where = f"http://127.0.0.1:{port}"
    access_token.make(stage.world.api, ENDPOINT, {})
    token = {access_token.HEADER: access_token.read(stage.world.api, ENDPOINT)}
    assert httpx.post(f"{where}/captures/{ENDPOINT}/v-a", content=line.encode()).status_code == 401
    assert httpx.post(f"{where}/captures/{ENDPOINT}/v-a", content=line.encode(), headers=token).status_code == 204
    assert httpx.post(f"{where}/captures/nobody/v-a", content=line.encode()).status_code == 404
    metrics = httpx.get(f"{where}/metrics").text
    assert "modelstack_store_reachable 1.0" in metrics
    told = f'endpoint="{ENDPOINT}",namespace="{stage.world.api.namespace}"'
    assert f"modelstack_tick_time_seconds{{{told}}}" in metrics


def test_a_stop_takes_seconds_and_gives_the_lease_back(stage: Stage) -> None:
    stage.pods.start("one")
    stage.pods.ready("one")
    process, _ = stage.pods.running["one"]
    until(lambda: stage.world.api.get(LEASE, names.CONTROLLER)["spec"].get("holderIdentity") == "one", 20)
    process.terminate()
    assert process.wait(15) == 0
    assert not stage.world.api.get(LEASE, names.CONTROLLER)["spec"].get("holderIdentity")
    lines = [json.loads(line)["message"] for line in (stage.pods.folder / "one.log").read_text().splitlines()]
    assert lines[-1] == "stopped"
    assert "stopping" in lines
