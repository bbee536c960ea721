"""The controller's threads: they watch the Rollouts, renew the Lease, and process due endpoints.

An endpoint has two lanes, each with one task at a time: periodic ticks, by the leader only; and wakes, which any
process answers at once, even during a tick.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from modelstack.monitoring.log import log
from modelstack.platforms.kubernetes.api import Api
from modelstack.platforms.kubernetes.autoscaled import lower
from modelstack.platforms.kubernetes.kinds import ENDPOINT_SLICE, ROLLOUT, ROUTE
from modelstack.platforms.kubernetes.names import ENDPOINT
from modelstack.platforms.kubernetes.program.counts import CARRIED, ENDPOINTS, FAILURES, LEADING, Counts
from modelstack.platforms.kubernetes.program.lease import RENEW, Lease
from modelstack.platforms.kubernetes.program.schedule import Schedule
from modelstack.platforms.kubernetes.program.watching import Watching
from modelstack.platforms.kubernetes.program.working import Working
from modelstack.platforms.kubernetes.scaled_to_zero import scale_to_zero
from modelstack.rollout.core.errors import RolloutError

TICKS, WAKES = 16, 8  # the maximum number of concurrent ticks and wakes
_TIDY = 60.0  # seconds between two looks at the pods that a trial left
WAKE_SECONDS = 1.0  # from one look at an endpoint to the next one by a wake
_SILENT, _STUCK = 20.0, 60.0  # seconds without an answer of the API server, and of a thread of ours


@dataclass
class Process:
    """All threads but the HTTP server's. `pod` is a unique name; the process `leads` while it holds the Lease."""

    api: Api
    pod: str
    works: Working
    counts: Counts
    ticks: Schedule = field(default_factory=lambda: Schedule(held=True))
    wakes: Schedule = field(default_factory=Schedule)
    stopping: threading.Event = field(default_factory=threading.Event)
    _beats: dict[str, float] = field(default_factory=dict[str, float])
    leads: bool = False
    _answered: float = float("-inf")  # when the API server last did

    def __post_init__(self) -> None:
        self._lease = Lease(self.api, self.pod)
        self._rollouts = Watching(self.api, ROLLOUT, _of_rollout, self._changed, self._gone, self.stopping)
        self._routes = Watching(
            self.api,
            ROUTE,
            lambda route: route["metadata"].get("generation"),
            self._moved,
            lambda _: None,
            self.stopping,
        )
        self._pods = Watching(
            self.api, ENDPOINT_SLICE, _has_ready, self._came_or_left, self._without_pods, self.stopping
        )
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Start the threads."""
        each = {
            "rollouts": self._rollouts.run,
            "routes": self._routes.run,
            "pods": self._pods.run,
            "lease": self._keep_lease,
            "tidy": self._tidy,
            "ticks": lambda: self._dispatch("ticks", self.ticks, self.works.tick, TICKS),
            "wakes": lambda: self._dispatch("wakes", self.wakes, self.works.answer, WAKES),
        }
        for name, run in each.items():
            thread = threading.Thread(target=run, name=name, daemon=True)
            self._threads.append(thread)
            thread.start()

    def stop(self, seconds: float) -> bool:
        """Finish running tasks, start no new ones, and release the Lease; whether all ended in time."""
        until = time.monotonic() + seconds
        self.stopping.set()
        self.ticks.close()
        self.wakes.close()
        while (busy := self.ticks.taken + self.wakes.taken) and time.monotonic() < until:
            time.sleep(0.05)
        next(one for one in self._threads if one.name == "lease").join(max(0.0, until - time.monotonic()))
        try:
            self._lease.release()
        except RolloutError as error:
            log("lease not released", error=str(error))
        return not busy

    def knows(self, name: str) -> bool:
        """Whether an endpoint belongs to the namespace."""
        return name in self._rollouts.names

    def wake(self, name: str) -> None:
        """Look at an endpoint and its alarms now, or `WAKE_SECONDS` after the last look began."""
        self.wakes.add(name, spacing=WAKE_SECONDS)
        self.ticks.add(name, spacing=WAKE_SECONDS)

    @property
    def names(self) -> frozenset[str]:
        """The endpoints of the namespace."""
        return self._rollouts.names

    def tell(self) -> None:
        """Publish for each endpoint without an overdue look that its rollout is driven, even while it rests."""
        if not self.leads or self.ready():
            return
        for name in self._rollouts.names:
            if self.works.well(name) and self.ticks.behind(name) < _STUCK:
                self.counts.put(CARRIED, self.api.clock.time(), endpoint=name)

    def alive(self) -> str:
        """Why the process has to be restarted; empty if it has not."""
        now = time.monotonic()
        stuck = sorted(name for name, beat in dict(self._beats).items() if now - beat > _STUCK)
        ended = sorted(thread.name for thread in self._threads if not thread.is_alive())
        if self.stopping.is_set() or not stuck + ended:
            return ""
        return f"threads that do not go on: {', '.join(stuck + ended)}"

    def ready(self) -> str:
        """Why it cannot work now; empty if it can."""
        if time.monotonic() - self._answered > _SILENT:
            return "the API server does not answer"
        return "" if self._rollouts.listed else "the Rollouts were not listed yet"

    def _keep_lease(self) -> None:
        while True:
            self._beats["lease"] = time.monotonic()
            try:
                self._lead(self._lease.keep())
                self._answered = time.monotonic()
            except Exception as error:  # whatever it is, the next one may do
                log("lease not kept", error=str(error))
                self._lead(self.leads and not self._lease.lapsed)
            if self.stopping.wait(RENEW):
                return

    def _tidy(self) -> None:
        """Reset raised autoscalers, and scale down pods that a trial left; only the leader does."""
        while not self.stopping.wait(_TIDY):
            if not self.leads:
                continue
            for what, take_back in (("autoscalers", lower), ("pods", scale_to_zero)):
                try:
                    take_back(self.api, self.api.clock.time())
                except Exception as error:  # whatever it is, the next one may do
                    self.counts.add(FAILURES, work=what, error=type(error).__name__)
                    log(f"{what} not put back", error=str(error))

    def _lead(self, leads: bool) -> None:
        if leads != self.leads:
            log("leads" if leads else "leads no more", pod=self.pod)
        self.leads = leads
        self.counts.put(LEADING, float(leads))
        self.ticks.hold(not leads)

    def _dispatch(self, lane: str, due: Schedule, work: Callable[[str], float | None], most: int) -> None:
        pool = ThreadPoolExecutor(most, lane)
        while not self.stopping.is_set():
            self._beats[lane] = time.monotonic()
            name = due.take()
            if name is not None:
                pool.submit(self._work, name, due, work)

    def _work(self, name: str, due: Schedule, work: Callable[[str], float | None]) -> None:
        pause: float | None = _STUCK  # after what nobody foresaw
        try:
            pause = None if self.stopping.is_set() else work(name)
        except Exception as error:
            log("work failed", endpoint=name, error=f"{type(error).__name__}: {error}")
        finally:
            due.done(name, pause)

    def _changed(self, rollout: dict[str, Any]) -> None:
        self.works.learn(rollout)
        self.ticks.add(rollout["metadata"]["name"])
        self.counts.put(ENDPOINTS, len(self._rollouts.names))

    def _gone(self, name: str) -> None:
        self.ticks.drop(name)
        self.wakes.drop(name)
        self.works.forget(name)
        self.counts.put(ENDPOINTS, len(self._rollouts.names))

    def _moved(self, route: dict[str, Any]) -> None:
        """A route changed, perhaps by somebody who is not allowed to."""
        name = route["metadata"]["name"]  # that of its Rollout
        if self.knows(name):
            self.ticks.add(name)

    def _came_or_left(self, endpoints: dict[str, Any]) -> None:
        """A workload got its first ready pod, or lost its last one."""
        name = (endpoints["metadata"].get("labels") or {}).get(ENDPOINT, "")
        if self.knows(name):
            self.ticks.add(name, spacing=WAKE_SECONDS)

    def _without_pods(self, endpoints: str) -> None:
        """A Service was deleted; its EndpointSlices begin with its name, which begins with the endpoint's."""
        for name in self.names:
            if endpoints.startswith(f"{name}-"):
                self.ticks.add(name, spacing=WAKE_SECONDS)


def _has_ready(endpoints: dict[str, Any]) -> bool:
    return any((one.get("conditions") or {}).get("ready") is not False for one in endpoints.get("endpoints") or ())


def _of_rollout(rollout: dict[str, Any]) -> object:
    """Changes with the spec or the journal of a Rollout."""
    return rollout["metadata"].get("generation"), (rollout.get("status") or {}).get("revision")
