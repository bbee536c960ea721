"""`Approvals` in a cluster: the list `agreed` in the status of a release's ModelPackage, guarded by RBAC."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from modelstack.platforms.kubernetes.api import Api, Object
from modelstack.platforms.kubernetes.crds import AGREED
from modelstack.platforms.kubernetes.kinds import PACKAGE
from modelstack.platforms.kubernetes.names import ENDPOINT
from modelstack.platforms.kubernetes.versions import change_status, version_of
from modelstack.services.approvals import Approval, ApprovalRefused, Approvals
from modelstack.services.principals import person


@dataclass(frozen=True)
class PackageApprovals(Approvals):
    """`Approvals` in an endpoint's ModelPackages. With the `name` of the release's ModelPackage, none are listed."""

    api: Api
    endpoint: str
    name: str = ""

    def caller(self) -> str:
        """The user whom the API server authenticates."""
        return self.api.user()

    def given(self, release: str) -> list[Approval]:
        """See `Approvals`; none if the release is not registered."""
        found = self._package(release)
        return _given(found, release) if found else []

    def add(self, approval: Approval) -> None:
        """See `Approvals`. Concurrent calls lose nothing: the status is written to the version that was read."""
        release = approval.release
        found = self._package(release)
        if found is None:
            raise ApprovalRefused(f"no release {release} is registered in {self.api.namespace}/{self.endpoint}")

        def added(package: Object) -> dict[str, Any] | None:
            given = _given(package, release)
            if person(approval.who) in [person(one.who) for one in given]:
                return None
            return {AGREED: [{"who": one.who, "why": one.why, "at": one.at} for one in (*given, approval)]}

        stored = change_status(self.api, found["metadata"]["name"], f"agree to release {release}", added)
        if added(stored) is not None:
            raise ApprovalRefused(
                f"the cluster keeps no `status.{AGREED}` of a ModelPackage: its definition is older than this "
                "checkout. `pulumi up` of a stack with kubernetes.definitions: true brings it up to date"
            )

    def _package(self, release: str) -> Object | None:
        if self.name:
            return self.api.find(PACKAGE, self.name)
        listed = self.api.list(PACKAGE, {ENDPOINT: self.endpoint})
        return next((item for item in listed if version_of(item).release == release), None)


def _given(package: Mapping[str, Any], release: str) -> list[Approval]:
    said = (package.get("status") or {}).get(AGREED) or []
    digest = package["spec"]["digest"]
    read = (Approval(release, digest, one["who"], one["why"], float(one["at"])) for one in said)
    return sorted(read, key=lambda one: one.at)
