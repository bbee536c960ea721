"""The provider of a rollout on AWS. Stacks have its name in their state, so it must not change."""

from __future__ import annotations

import json
from typing import Any, ClassVar

from modelstack.program.providers.driving import DrivingProvider, Values, commands_of


class RolloutProvider(DrivingProvider):
    """Drives the rollout of a SageMaker endpoint."""

    PLACE: ClassVar[tuple[str, ...]] = ("endpoint", "table", "region")

    def journal(self, props: Values, *, signed: bool = False) -> Any:
        """An item of the stack's table."""
        from modelstack.platforms.aws.clients import clients  # noqa: PLC0415  slow to load, and diff needs none
        from modelstack.platforms.aws.identity import caller_if_told  # noqa: PLC0415
        from modelstack.platforms.aws.journal import copied_journal  # noqa: PLC0415

        make = clients(props["region"])
        return copied_journal(make, props["table"], props["endpoint"], caller_if_told(make) if signed else "")

    def controller(self, props: Values) -> Any:
        """A controller with a topic for notifications."""
        from modelstack.platforms.aws import endpoint  # noqa: PLC0415  see journal

        return endpoint.controller(
            props["endpoint"], props["table"], props["region"], topic=props["topic"], commands=commands_of(props)
        )

    def approvals(self, props: Values) -> Any:
        """Approvals in the bucket of the release's archive."""
        from modelstack.platforms.aws.approvals import BucketApprovals  # noqa: PLC0415  see journal
        from modelstack.platforms.aws.clients import clients  # noqa: PLC0415

        bucket = props["desired_release"]["archive_uri"].removeprefix("s3://").partition("/")[0]
        return BucketApprovals.of(clients(props["region"]), bucket)

    def metrics(self, release: Any, props: Values) -> dict[str, float]:
        """Metrics stored next to the archive."""
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415  see journal

        from modelstack.platforms.aws.clients import clients  # noqa: PLC0415
        from modelstack.platforms.aws.packages import member  # noqa: PLC0415
        from modelstack.services.sealed_packages import METRICS, DigestMismatch  # noqa: PLC0415

        try:
            return json.loads(member(clients(props["region"]), release, METRICS) or b"{}").get("summary", {})
        except (BotoCoreError, ClientError, DigestMismatch):
            return {}
