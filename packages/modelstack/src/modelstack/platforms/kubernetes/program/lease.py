"""The Lease of the leader, which looks at the endpoints periodically; the others only when they are woken.

It only saves double work: two leaders do no harm, because the journal accepts a decision from one of them. Clocks of
machines are never compared: a Lease has expired when this process has seen it unchanged for its whole duration.

Source: Kubernetes, client-go/tools/leaderelection.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from modelstack.platforms.kubernetes.answers import NotFound
from modelstack.platforms.kubernetes.api import Api
from modelstack.platforms.kubernetes.kinds import LEASE
from modelstack.platforms.kubernetes.names import CONTROLLER
from modelstack.rollout.core.errors import Conflict

DURATION = 15  # seconds after which a Lease expires
RENEW = 5.0  # seconds between two renewals


@dataclass
class Lease:
    """A candidate for the Lease, used by one thread. `holder` is a unique name; `now` gives monotonic seconds."""

    api: Api
    holder: str
    now: Callable[[], float] = time.monotonic
    _held: dict[str, Any] | None = field(default=None, init=False)  # as it is, while we hold it
    _renewed: float = field(default=0.0, init=False)
    _seen: tuple[str, float] = field(default=("", 0.0), init=False)  # another's version, and since when it is the same

    def keep(self) -> bool:
        """Renew the Lease, or take an expired one; whether this process holds it. After an error, see `lapsed`."""
        try:
            if self._held is not None:
                self._write(self._held, self.holder)
                return True
            return self._take()
        except (Conflict, NotFound):
            self._held = None  # somebody took it, or deleted it; the next call sees that
            return False

    @property
    def lapsed(self) -> bool:
        """Whether another process may hold it by now."""
        return self._held is None or self.now() - self._renewed > DURATION - RENEW

    def release(self) -> None:
        """Let another process take it at once."""
        if self._held is not None:
            self._write(self._held, "")
            self._held = None

    def _take(self) -> bool:
        try:
            found = self.api.get(LEASE, CONTROLLER)
        except NotFound:
            self._hold(self.api.create(LEASE, self._lease({}, self.holder), manager=CONTROLLER))
            return True
        spec, version = found.get("spec", {}), found["metadata"]["resourceVersion"]
        other = spec.get("holderIdentity") or ""
        if version != self._seen[0]:
            self._seen = (version, self.now())
        duration = float(spec.get("leaseDurationSeconds") or DURATION)
        if other not in {"", self.holder} and self.now() - self._seen[1] <= duration:
            return False
        self._write(found, self.holder)
        return True

    def _write(self, found: dict[str, Any], holder: str) -> None:
        self._hold(self.api.apply(LEASE, self._lease(found, holder), CONTROLLER, force=True))

    def _hold(self, written: dict[str, Any]) -> None:
        self._held, self._renewed = written, self.now()

    def _lease(self, found: dict[str, Any], holder: str) -> dict[str, Any]:
        spec = found.get("spec", {})
        time = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        same = spec.get("holderIdentity") == holder
        version = {"resourceVersion": found["metadata"]["resourceVersion"]} if found else {}
        return {
            "apiVersion": LEASE.api_version,
            "kind": LEASE.kind,
            "metadata": {"name": CONTROLLER, "namespace": self.api.namespace, **version},
            "spec": {
                "holderIdentity": holder,
                "leaseDurationSeconds": DURATION,
                "acquireTime": spec.get("acquireTime") if same else time,
                "renewTime": time,
                "leaseTransitions": int(spec.get("leaseTransitions") or 0) + (not same),
            },
        }
