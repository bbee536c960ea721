"""A stage on a real cluster: pods behind an Envoy Gateway, a journal in a Rollout, Prometheus and Alertmanager.

The controllers run in the test's process and reach the cluster through a proxy that disturbs them. Only Alertmanager's
webhook is simulated: its alerts are read twice a second, and passed to the code that answers a wake.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Generator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import replace
from threading import Event
from typing import Any

import httpx

from modelstack.monitoring.alarms.response import AlarmResponse
from modelstack.platforms.kubernetes import names
from modelstack.platforms.kubernetes.access import Access
from modelstack.platforms.kubernetes.api import TIMEOUT, Api
from modelstack.platforms.kubernetes.assembled import Assembled, assembled
from modelstack.platforms.kubernetes.journal import copied_journal
from modelstack.platforms.kubernetes.kinds import CONFIG_MAP, DEPLOYMENT, PACKAGE, ROLLOUT, ROUTE, SERVICE
from modelstack.platforms.kubernetes.metrics import whose
from modelstack.platforms.kubernetes.notify import KubernetesNotify
from modelstack.platforms.kubernetes.notify import Webhook as Posts
from modelstack.platforms.kubernetes.program.working import ACT_SECONDS
from modelstack.platforms.kubernetes.prometheus import Prometheus
from modelstack.platforms.kubernetes.serving_config import Backend, ServingConfig
from modelstack.platforms.kubernetes.spec import RolloutSpec
from modelstack.platforms.kubernetes.traffic import RouteTraffic
from modelstack.platforms.kubernetes.versions import ModelPackages
from modelstack.rollout.controller.controller import Controller
from modelstack.rollout.core.errors import RolloutError
from modelstack.rollout.core.live import Approval, Live
from modelstack.rollout.core.release import Release
from modelstack.rollout.core.state import RolloutState
from modelstack.services.worker import Worker
from tests.conformance import mortal
from tests.conformance.cluster import objects
from tests.conformance.cluster.alarms import Alarm, Alertmanager, Rules
from tests.conformance.cluster.load import PREDICTION, GatewayLoad, Wanted
from tests.conformance.cluster.observed import Observed
from tests.conformance.cluster.proxy import Fault
from tests.conformance.cluster.world import STARTS, World
from tests.conformance.row import QUICK
from tests.conformance.stage import PATIENCE, Call, Effect, FaultStage, Killed, Message, beside
from tests.platforms.load import Asked, wait_for
from tests.rollout.worlds import release as make_release

_CALLS: Mapping[Call, tuple[str, str]] = {
    "read metrics": ("GET", "/prometheus/api/v1/query"),
    "read journal": ("GET", "/rollouts/"),
    "write journal": ("PUT", "/rollouts/"),
    "read endpoint": ("GET", "/httproutes/"),
    "use config": ("PATCH", "/httproutes/"),
    "set weights": ("PATCH", "/httproutes/"),
    "set approval": ("PUT", "/modelpackages/"),
    "notify": ("PATCH", "/events/"),
}
"""Method and part of the path, which also has the endpoint's name."""
_AGAIN = 2.0  # seconds after which a wake is answered again that could not be


class ClusterStage(FaultStage):
    """A stage in a namespace, which has one stage at a time."""

    one_more = 3

    def __init__(self, world: World, name: str) -> None:
        self.world, self.api = world, world.api
        self.endpoint = f"{name}-{uuid.uuid4().hex[:4]}"
        self.host = f"{self.endpoint}.test"
        self.releases, self.ran = {}, []
        self.rules = Rules(self.api, self.endpoint)
        self.alertmanager = Alertmanager(world.shared.alertmanager, self.endpoint)
        self._made: set[str] = set()
        self._faults: list[Fault] = []
        self._fired: dict[Alarm, str] = {}
        self._beside = ExitStack()
        self._timeout = TIMEOUT
        self.spec = RolloutSpec(
            stack="test", model=name, gateway=objects.GATEWAY, prometheus=world.shared.proxy.prometheus, host=self.host,
            period_seconds=1, capture_percent=100,
        )  # fmt: skip
        self.api.apply(ROUTE, objects.route(self.endpoint, self.host), names.PROGRAM)
        rollout = {"metadata": {"name": self.endpoint}, "spec": self.spec.as_dict()}
        self.api.apply(ROLLOUT, rollout, names.PROGRAM)
        self.observed = Observed(self)

    # What is there

    def release(self, role: str, **behaviour: Any) -> Release:
        name, variant = f"{self.endpoint}-{role}", f"v-{role}"
        capture = {"MODELSTACK_CAPTURE": "memory"} if self.captures else {}
        how = {"name": variant, "answer": PREDICTION, **behaviour}
        self.world.runs(name, how, ["serve"], {"MODELSTACK_VARIANT": variant, **capture})
        self.api.create(CONFIG_MAP, objects.config(ServingConfig(name, Backend(variant, name))))
        spec = {"digest": f"sha256:{'0' * 64}", "archive": f"oci://r/models@sha256:{'0' * 64}"}
        self.api.create(PACKAGE, {"metadata": {"name": name}, "spec": spec})
        self.releases[role] = made = replace(
            make_release(role), version=f"{self.api.namespace}/{name}", model_name=name, variant=variant,
            config_name=name, image_uri=self.world.shared.image,
        )  # fmt: skip
        self.rules.workloads[variant] = name
        self.rules.write()
        return made

    def pair(self, champion: str, challenger: str) -> str:
        return self._config(champion, challenger, None)

    def shadow(self, champion: str, challenger: str) -> str:
        return self._config(champion, challenger, 100)

    def _config(self, champion: str, challenger: str, copied: int | None) -> str:
        name = f"{self.endpoint}-{champion}-{'shadow-' if copied else ''}{challenger}"
        if name not in self._made:
            made = ServingConfig(name, self._backend(champion), self._backend(challenger), copied)
            self.api.create(CONFIG_MAP, objects.config(made))
            self._made.add(name)
        return name

    def _backend(self, role: str) -> Backend:
        return Backend(f"v-{role}", f"{self.endpoint}-{role}")

    def serve(self, role: str) -> None:
        first = self.trial(role, QUICK)
        assert first.champion == self.releases[role], first.verdict
        wait_for(lambda: self._ask(Wanted(self.host)).headers.get(names.VARIANT_HEADER), STARTS, f"answers of {role}")
        if self.captures:
            self._beside.enter_context(beside(self.observed.keep))

    def assembled(self) -> Assembled:
        shared, api = self.world.shared, self.disturbed()
        notify = KubernetesNotify(api, self.endpoint, Posts(f"{shared.webhook.url}/{self.endpoint}"))
        prometheus = Prometheus(httpx.Client(base_url=shared.proxy.prometheus, timeout=self._timeout, verify=False))
        return assembled(
            api, self.endpoint, self.spec, by="test", notify=notify, database=shared.database, prometheus=prometheus
        )

    def disturbed(self) -> Api:
        """The API server as a pod of the cluster would have it, through the proxy."""
        through = Access(self.world.shared.proxy.kubernetes, False, self.api.namespace, "a proxy", in_cluster=True)
        return Api(through, self.api.namespace, timeout=self._timeout)

    def controller(self) -> Controller:
        return self.assembled().controller

    def state(self) -> RolloutState:
        return copied_journal(self.api, self.endpoint).primary.read()

    def live(self) -> Live:
        return RouteTraffic(self.api, self.endpoint).read()

    def approval(self, role: str) -> Approval:
        return ModelPackages(self.api).approval(self.releases[role].version)

    def load(self, *, target: str | None = None, rate: float = 10, workers: int = 2) -> GatewayLoad:
        return GatewayLoad(self.world.address, Wanted(self.host, target or ""), self.endpoint, rate, workers)

    def _ask(self, wanted: Wanted, body: bytes | None = None) -> httpx.Response:
        client, where = self.world.shared.client, f"{self.world.address}/invocations"
        return client.post(where, content=body or b"{}", headers=wanted.headers)

    def close(self) -> None:
        """Take the endpoint out of the cluster, but for its journal and packages."""
        self._beside.close()
        self.world.tells("")
        self.api.delete(ROUTE, self.endpoint)
        self.api.delete(CONFIG_MAP, f"{self.endpoint}-rules")
        for release in self.releases.values():
            self.api.delete(DEPLOYMENT, release.config_name)
            self.api.delete(SERVICE, release.config_name)

    def who_failed(self, asked: list[Asked]) -> list[Asked]:
        """A failure that the gateway tells is of the variant whose container ended, where it is one alone."""
        ended = [f"v-{role}" for role, one in self.releases.items() if self._restarts(one.config_name)]
        if len(ended) != 1:
            return asked
        return [replace(one, variant=one.variant or ended[0]) if one.status >= 500 else one for one in asked]

    def _restarts(self, name: str) -> int:
        statuses = [one for pod in self.world.pods(name) for one in pod["status"].get("containerStatuses", [])]
        return sum(int(one["restartCount"]) + ("terminated" in one["state"]) for one in statuses)

    # Alarms, and what people are told

    def rolls_back_on_alarm(self) -> None:
        self._beside.enter_context(beside(self._wake))

    def _wake(self, stop: Event) -> None:
        answered: set[tuple[str, str]] = set()
        while not stop.wait(0.5):
            with suppress(httpx.HTTPError, RolloutError):
                firing = {(one["fingerprint"], one["startsAt"]) for one in self.alertmanager.firing()}
                if firing - answered:
                    self.answer()
                answered = firing
                continue
            stop.wait(_AGAIN)

    def answer(self) -> tuple[AlarmResponse, ...]:
        made = self.assembled()
        worker = Worker(self.endpoint, made.controller, made.journal, made.outage)
        firing = made.alarms.all_firing(made.journal.read())
        return worker.answer(firing, patience=lambda: ACT_SECONDS, each=lambda _: None)

    def declare_alarm(self, role: str, measure: str) -> None:
        self.rules.declared.add((f"v-{role}", measure))
        self.rules.write()

    def fired(self, role: str, measure: str = "5xx") -> str:
        """What Alertmanager's webhook would tell."""
        alarm = (f"v-{role}", measure)

        def fires() -> str | None:
            return self._fired.get(alarm) or self.alertmanager.call(alarm)

        self._fired[alarm] = message = wait_for(fires, PATIENCE, f"{alarm} fires")
        return message

    def fire(self, role: str, measure: str = "5xx") -> str:
        """Let its rule fire until a wake was answered."""
        alarm = (f"v-{role}", measure)
        self._fired.pop(alarm, None)
        self.rules.firing.add(alarm)
        self.rules.write()
        message = self.fired(role, measure)
        with suppress(RolloutError):
            self.answer()
        self.rules.firing.discard(alarm)
        self.rules.write()
        wait_for(lambda: not self._forced(), PATIENCE, f"{alarm} fires no more")
        return message

    def _forced(self) -> bool:
        groups = self.world.shared.prometheus.groups(self.endpoint, whose(self.api.namespace, self.endpoint))
        return any(rule["query"] == "vector(1)" for one in groups for rule in one["rules"])

    def deliver(self, message: str, times: int = 1) -> list[dict[str, Any]]:
        """Wake, as often at once; what was answered of the alarms that the message names, else that nothing fires."""
        named = {alert["labels"]["alertname"] for alert in json.loads(message)["alerts"]}

        def call(_: int) -> dict[str, Any]:
            given = [one.as_dict() for one in self._answered() if one.alarm in named]
            return given[0] if given else {"action": "ignored", "why": "it does not fire"}

        with ThreadPoolExecutor(times) as pool:
            answers = list(pool.map(call, range(times)))
        self.ran += answers
        return answers

    def _answered(self) -> tuple[AlarmResponse, ...]:
        """Answer a wake; one that cannot be answered now is answered later, as by the controller's process."""
        until = time.monotonic() + PATIENCE
        while True:
            try:
                return self.answer()
            except RolloutError:
                if time.monotonic() > until:
                    raise
                time.sleep(_AGAIN)

    def told(self, kind: str, rollout_id: str) -> list[Message]:
        wanted = {"kind": kind, "rollout_id": rollout_id}
        came = self.world.shared.webhook.messages(f"/{self.endpoint}")
        return [one for one in came if wanted.items() <= one.content.items()]

    # Disturbances

    def fault(self, call: Call, effect: Effect, calls: int | None = None, *, seconds: float = 0) -> None:
        method, part = _CALLS[call]

        def matches(asked: str, path: str) -> bool:
            return asked == method and part in path and self.endpoint in path

        made = Fault(effect, matches, calls, seconds)
        self._faults.append(made)
        self.world.shared.proxy.faults.append(made)

    def lose_journal(self, older: RolloutState | None = None, *, copy: bool = False) -> None:
        """As `kubectl apply` of a backup does, which drops the status."""
        journal = copied_journal(self.api, self.endpoint)
        self.api.replace_status(ROLLOUT, self.api.get(ROLLOUT, self.endpoint) | {"status": {}})
        if copy:
            self.api.delete(CONFIG_MAP, names.journal_copy(self.endpoint))
        for store in (journal.primary, journal.copy) if copy else (journal.primary,):
            if older:
                store.put(older)

    def end_faults(self) -> None:
        for one in self._faults:
            one.calls = 0
        self._faults.clear()

    def impatient(self, read_timeout: float) -> None:
        self._timeout = httpx.Timeout(read_timeout, connect=3.0)

    def become(self, role: str, **behaviour: Any) -> None:
        body = json.dumps({"become": behaviour}).encode()
        answer = self._ask(Wanted(self.host, f"v-{role}"), body)
        assert answer.is_success, answer.text

    @contextmanager
    def scaling(self, role: str) -> Generator[None]:
        """Ask for a second pod, which starts as slowly as the first. Nothing else waits for it."""
        name = self.releases[role].config_name
        self.api.apply(DEPLOYMENT, {"metadata": {"name": name}, "spec": {"replicas": 2}}, "autoscaler", force=True)
        wait_for(lambda: len(self.world.pods(name)) == 2, PATIENCE, "the second pod")
        yield

    def breaks_archive(self, role: str) -> None:
        name = self.releases[role].config_name
        self.api.apply(CONFIG_MAP, objects.behaviour(name, {"name": role, "start": "raise"}), names.PROGRAM)

    def killed(self, asked: Killed) -> tuple[list[int], int]:
        shared = self.world.shared
        where = {
            "kubernetes": shared.proxy.kubernetes, "prometheus": shared.proxy.prometheus, "endpoint": self.endpoint,
            "namespace": self.api.namespace, "webhook": f"{shared.webhook.url}/{self.endpoint}",
            "spec": self.spec.as_dict(),
        }  # fmt: skip
        return mortal.run("tests.conformance.cluster.mortal", where, self, asked)

    # What goes on beside a trial

    def labels(self, label: bool | None) -> AbstractContextManager[None]:
        return beside(lambda stop: self.observed.label(label, stop))

    def publishes(self, namespace: str, metric: str, rates: Mapping[str, float]) -> AbstractContextManager[None]:
        return beside(lambda stop: self.observed.publish(namespace, metric, rates, stop))

    def captured(self) -> None:
        wait_for(lambda: self.observed.kept("v-champion"), PATIENCE, "captures")

    def timed(self, role: str) -> int:
        now = time.time()
        seen = self.assembled().signals.quantile(f"v-{role}", 0.99, now - 3600, now)
        return seen.requests if seen else 0
