"""How many requests are lost while all that moves is moved, and all that may be killed is killed."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from bench.bed import BenchError, must
from bench.kubernetes.arithmetic import quantile
from bench.kubernetes.load import Answer, Seen
from bench.kubernetes.place import until
from bench.kubernetes.served import Served
from bench.rows import Row, sized
from demos.versions import as_good
from modelstack.platforms.kubernetes.names import CONTROLLER
from modelstack.rollout.kinds import Kind
from modelstack.rollout.reason import Reason

_REQUESTS = 100_000
_RATE = 120.0  # requests a second
_ALONE = 3  # deletions of an only pod
_STILL_S = 2.0  # of load before and after
_LASTING = {"kind": "canary", "weight": 10, "bake_seconds": 600}
_GATEWAY = "envoy-gateway"
_SYSTEM = f"{_GATEWAY}-system"


@dataclass
class _Played:
    """The stack under load, and what was done to it."""

    served: Served
    seen: Seen
    done: Counter[str] = field(default_factory=Counter[str])
    lost: dict[str, list[Answer]] = field(default_factory=dict[str, list[Answer]])

    def play(self, what: str, act: Callable[[], None]) -> None:
        """Do something, give it a moment to show, and note what was lost meanwhile."""
        before = self.seen.sent
        act()
        time.sleep(_STILL_S)
        self.done[what] += 1
        self.lost.setdefault(what, []).extend(self.seen.lost(before))


def rows(served: Served) -> list[Row]:
    """Requests without a good answer, with two pods a variant and with one."""
    with served.asked(_RATE) as seen:
        played, begun = _Played(served, seen), time.monotonic()
        played.play("shifts 0, 10, 50, 100 by a trial", lambda: _promoted(served))
        played.play("shift 0 to 10 by a trial", lambda: _tried(served))
        for workload in served.shares():
            played.play("pod of a trial deleted", lambda name=workload: _deleted_of(served, name))
        played.play("rollback of a trial by a person", lambda: _back(served))
        played.play("shift 100 to 0 by rollback --previous", lambda: _brought_back(served))
        while True:
            played.play("controller pod killed", lambda: _killed(served, CONTROLLER, ""))
            played.play("gateway's control plane killed", lambda: _killed(served, _GATEWAY, _SYSTEM))
            played.play("pod deleted", lambda: _deleted(served))
            if seen.sent >= sized(_REQUESTS):
                break
        rate = seen.sent / (time.monotonic() - begun)
        return [_row(played, rate), _alone(played)]


def _row(played: _Played, rate: float) -> Row:
    seen = played.seen
    lost = seen.lost()
    waits = [1000 * (answer.at - answer.sent) for answer in seen.answers]
    told = "; ".join(f"{count} x {what}" for what, count in played.done.items())
    where = "; ".join(
        f"{len(those)} at: {what} ({those[0].text or those[0].status})" for what, those in played.lost.items() if those
    )
    beside = (
        f"of {seen.sent:,} at {rate:.0f}/s, p50 {quantile(waits, 0.5):.0f} ms, p99 {quantile(waits, 0.99):.0f} ms, "
        f"two pods a variant; {told}"
    )
    return Row("k8s_lost_requests", len(lost), "requests", "== 0", f"{beside}. {where}" if where else beside)


def _promoted(served: Served) -> None:
    """Let a version that is as good go through its trial."""
    must(as_good(served.stack, served.place.folder).up(), "pulumi up of a good release")


def _tried(served: Served) -> None:
    """Put another one on a trial that lasts."""
    lasting = served.with_trial(wait=False, strategy=_LASTING)
    must(as_good(lasting, served.place.folder).up(), "pulumi up of another good release")
    until(lambda: len(served.shares()) == 2, "the trial has a share")


def _brought_back(served: Served) -> None:
    """Bring the champion before the present one back, whose pods are still warm."""
    if served.state.previous is None:
        raise BenchError("there is no previous champion to bring back")
    _back(served)


def _back(served: Served) -> None:
    reason = Reason("person", "bench", "to see what is lost", kind=Kind.TAKEN_BACK)
    controller = served.controller
    controller.roll_back(reason)
    if not controller.follow(300).at_rest:
        raise BenchError("a rollback by a person does not end")
    until(lambda: list(served.shares().values()) == [100], "the champion has all")


def _deleted(served: Served) -> None:
    for workload in served.shares():
        _deleted_of(served, workload)


def _deleted_of(served: Served, workload: str) -> None:
    """Delete a pod as `kubectl delete` does, and wait for the one in its place."""
    served.place.ready(workload)
    pod = served.place.kubectl("get", "pods", "-l", f"modelstack.dev/workload={workload}", "-o", "name").split()[0]
    served.place.kubectl("delete", pod)
    served.place.ready(workload)


def _killed(served: Served, deployment: str, namespace: str) -> None:
    """Kill a pod at once, and wait for the one in its place."""
    label = f"app.kubernetes.io/name={deployment}" if deployment == CONTROLLER else f"control-plane={deployment}"
    pod = served.place.kubectl("get", "pods", "-l", label, "-o", "name", namespace=namespace).split()[0]
    served.place.kubectl("delete", pod, "--grace-period=0", "--force", namespace=namespace)
    served.place.kubectl("rollout", "status", f"deployment/{deployment}", "--timeout=240s", namespace=namespace)


def _alone(played: _Played) -> Row:
    """The same when a variant has one pod: what is not promised."""
    served, seen = played.served, played.seen
    (workload,) = served.shares()
    served.place.kubectl("scale", f"deployment/{workload}", "--replicas=1")
    served.place.ready(workload)
    before = seen.sent
    deletions = sized(_ALONE, 1)
    for _ in range(deletions):
        _deleted_of(served, workload)
        time.sleep(_STILL_S)
    lost = seen.lost(before)
    beside = f"of {seen.sent - before:,} at {_RATE:.0f}/s while the only pod was deleted {deletions} times; no promise"
    return Row("k8s_lost_requests_one_pod", len(lost), "requests", "", beside)
