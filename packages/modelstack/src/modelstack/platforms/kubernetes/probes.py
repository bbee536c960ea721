"""Probes each endpoint when it is due, in a thread of the controller; see `modelstack.services.probe`."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import httpx

from modelstack.monitoring.log import log
from modelstack.monitoring.measurements import Datum
from modelstack.platforms.kubernetes.api import Api
from modelstack.platforms.kubernetes.gateway import Entrance, entrance
from modelstack.platforms.kubernetes.invoke import GatewayInvoke
from modelstack.platforms.kubernetes.rounds import Rounds
from modelstack.platforms.kubernetes.spec import RolloutSpec
from modelstack.rollout.core.errors import RolloutError, Unreachable
from modelstack.rollout.core.release import Release
from modelstack.services import probe
from modelstack.services.invoke import Invoke, Request, Response
from modelstack.services.promises import Member

LOOK = 1.0  # seconds between two looks at the due probes
_AT_ONCE = 8  # endpoints that are asked at the same time
_TIMEOUT = httpx.Timeout(20.0, connect=3.0)


@dataclass
class Probes:
    """The probes of a namespace's endpoints. `spec` and `champion` raise RolloutError if they cannot be read.

    Attributes:
        invoke: Returns the `Invoke` of an endpoint.
        tell: Publishes the result of an endpoint's last probe; empty removes it.
    """

    invoke: Callable[[RolloutSpec], Invoke]
    member: Member
    spec: Callable[[str], RolloutSpec]
    champion: Callable[[str], Release | None]
    tell: Callable[[str, Sequence[Datum]], None]
    now: Callable[[], float] = time.time
    _asked: dict[str, float] = field(default_factory=dict[str, float], init=False)  # when they were last

    def follow(self, rounds: Rounds) -> None:
        """Run the due probes periodically while this process leads."""
        with ThreadPoolExecutor(_AT_ONCE, "probe") as pool:
            for names in rounds.every(LOOK):
                for asked in [pool.submit(self.run, name) for name in self.due(names or ())]:
                    if error := asked.exception():  # whatever it is, the next probe may do
                        log("not probed", error=repr(error))

    def due(self, names: Collection[str]) -> list[str]:
        """The endpoints to probe now. The results of all others are removed.

        Another leader publishes its own results, which old ones of this process would hide.
        """
        now, every = self.now(), {name: 60.0 * self._minutes(name) for name in names}
        wanted = {name: seconds for name, seconds in every.items() if seconds}
        for gone in self._asked.keys() - wanted.keys():
            del self._asked[gone]
            self.tell(gone, ())
        found = [name for name, seconds in sorted(wanted.items()) if now - self._asked.get(name, -seconds) >= seconds]
        self._asked |= dict.fromkeys(found, now)
        return found

    def run(self, name: str) -> None:
        """Probe an endpoint once, unless it has no release yet.

        A probe that cannot be sent publishes nothing: the alarm fires when results are missing for a while.
        """
        try:
            champion, spec = self.champion(name), self.spec(name)
            if champion is None:
                return
            outcome = probe.run(self.invoke(spec), champion, self.member)
        except (RolloutError, ValueError) as error:
            log("not probed", endpoint=name, error=str(error))
            return
        if not outcome.ok:
            log("probe", endpoint=name, ok=False, why=outcome.why)
        if name in self._asked:
            self.tell(name, outcome.data(self.now()))

    def _minutes(self, name: str) -> int:
        try:
            return self.spec(name).measuring.probe_minutes
        except RolloutError:
            return 0


def through_gateways(api: Api) -> Callable[[RolloutSpec], Invoke]:
    """Returns an endpoint's `Invoke` through its gateway, as for users."""
    known: dict[tuple[str, str, str], Entrance] = {}  # until one does not answer
    return lambda spec: _Probe(api, (spec.gateway, spec.host, spec.ca_config_map), known)


@dataclass(frozen=True)
class _Probe:
    """`Invoke` by a new connection each time."""

    api: Api
    place: tuple[str, str, str]
    known: dict[tuple[str, str, str], Entrance]

    def send(self, request: Request) -> Response:
        there = self.known.get(self.place) or self.known.setdefault(self.place, entrance(self.api, *self.place))
        try:
            with there.client(_TIMEOUT) as client:
                return GatewayInvoke(client).send(request)
        except Unreachable:
            self.known.pop(self.place, None)
            raise
