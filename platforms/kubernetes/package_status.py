"""A package's approval: the status of its ModelPackage (`Registry`).

PackageStatus(api).set_approval("models/flight-delay-prod-3f0c…", "Approved", "promoted: not worse")
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import cast, get_args

from platforms.clock import SystemClock
from platforms.kubernetes.api import Api, Object
from platforms.kubernetes.kinds import PACKAGE
from rollout.controller.ports import Clock
from rollout.core.errors import Busy, Conflict, RolloutError
from rollout.core.live import Approval

_ATTEMPTS = 4
_WHY = 4096  # characters of a reason


@dataclass(frozen=True)
class PackageStatus:
    """`Registry` over ModelPackage objects.

    Attributes:
        api: The API server.
        clock: Time.
    """

    api: Api
    clock: Clock = field(default_factory=SystemClock)

    def approval(self, package: str) -> Approval:
        """The status of a package, `NAMESPACE/NAME`; pending while nobody decided.

        Raises:
            NotFound: There is no such package.
        """
        return _approval(self.api.get(PACKAGE, self._name(package)), package)

    def set_approval(self, package: str, approval: Approval, why: str) -> None:
        """Set it, with the reason and the time; one that is so already stays as it is."""
        for left in reversed(range(_ATTEMPTS)):
            found = self.api.get(PACKAGE, self._name(package))
            status = {"approval": approval, "why": " ".join(why.split())[:_WHY]}
            before = found.get("status") or {}
            if {key: before.get(key) for key in status} == status:
                return
            at = datetime.fromtimestamp(self.clock.time(), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            metadata = {key: item for key, item in found["metadata"].items() if key != "managedFields"}
            whole: Object = {**found, "metadata": metadata, "status": {**before, **status, "at": at}}
            try:
                self.api.replace_status(PACKAGE, whole)
            except Conflict as error:
                if not left:
                    raise Busy(f"set package {package} to {approval}: others write it all the time") from error
            else:
                return

    def _name(self, package: str) -> str:
        namespace, _, name = package.partition("/")
        if namespace != self.api.namespace or not name:
            raise RolloutError(f"package {package!r}: expected NAMESPACE/NAME in namespace {self.api.namespace}")
        return name


def _approval(found: Object, package: str) -> Approval:
    value = (found.get("status") or {}).get("approval") or "PendingManualApproval"
    if value not in get_args(Approval):
        raise RolloutError(
            f"ModelPackage {package}: status.approval: got {value!r}, allowed is {', '.join(get_args(Approval))}"
        )
    return cast(Approval, value)
