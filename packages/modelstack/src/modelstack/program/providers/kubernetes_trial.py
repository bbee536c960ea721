"""The provider of a rollout on Kubernetes."""

from __future__ import annotations

from typing import Any, ClassVar

from modelstack.program.providers.driving import DrivingProvider, Values, commands_of
from modelstack.program.providers.kubernetes_package import api_of


class KubernetesRolloutProvider(DrivingProvider):
    """Drives the rollout of a route alongside the controller in the cluster; the journal decides which write wins."""

    PLACE: ClassVar[tuple[str, ...]] = ("endpoint", "context", "namespace")

    def journal(self, props: Values, *, signed: bool = False) -> Any:
        """The status of the Rollout, and its copy."""
        from modelstack.platforms.kubernetes.journal import copied_journal  # noqa: PLC0415  slow to load, and diff needs none

        api = api_of(props)
        return copied_journal(api, props["endpoint"], api.user() if signed else "")

    def state(self, props: Values) -> Any:
        """Also of a Rollout that was deleted, by its copy: the refresh before that is made again must not fail."""
        from modelstack.platforms.kubernetes.journal import newest  # noqa: PLC0415  see journal

        return newest(api_of(props), props["endpoint"])

    def _drive(self, props: Values) -> dict[str, Any]:
        from modelstack.platforms.kubernetes.kinds import ROLLOUT  # noqa: PLC0415  see journal

        if api_of(props).find(ROLLOUT, props["endpoint"]) is None:
            raise RuntimeError(
                f"Rollout {props['endpoint']} does not exist in namespace {props['namespace']}, although Pulumi's "
                "state lists it: it was deleted, or its definition was. Its release keeps serving, and nothing was "
                f"changed. To make it again, with its journal: {commands_of(props).pulumi_up} --refresh"
            )
        return super()._drive(props)

    def controller(self, props: Values) -> Any:
        """A controller outside of the cluster. Its notifications wait in the journal for the one inside."""
        from modelstack.platforms.kubernetes.assembled import assembled, spec_of  # noqa: PLC0415  see journal

        api = api_of(props)
        return assembled(api, props["endpoint"], spec_of(api, props["endpoint"]), by=api.user()).controller

    def approvals(self, props: Values) -> Any:
        """Approvals in the status of the release's ModelPackage."""
        from modelstack.platforms.kubernetes.approvals import PackageApprovals  # noqa: PLC0415  see journal

        name = props["desired_release"]["model_package_arn"].rpartition("/")[2]
        return PackageApprovals(api_of(props), props["endpoint"], name)

    def metrics(self, release: Any, props: Values) -> dict[str, float]:
        """Metrics of its ModelPackage."""
        from modelstack.platforms.kubernetes.kinds import PACKAGE  # noqa: PLC0415  see journal
        from modelstack.rollout.core.errors import RolloutError  # noqa: PLC0415

        try:
            found = api_of(props).get(PACKAGE, release.model_name)
        except RolloutError:
            return {}
        return dict(found["spec"].get("metrics", {}))
