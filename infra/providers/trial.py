"""The provider of a rollout on AWS. Stacks have its name in their state, so it keeps it."""

from __future__ import annotations

import json
from typing import Any, ClassVar

from infra.providers.driving import DrivingProvider, Values, commands_of


class RolloutProvider(DrivingProvider):
    """Drives the rollout of a SageMaker endpoint."""

    PLACE: ClassVar[tuple[str, ...]] = ("endpoint", "table", "region")

    def state(self, props: Values) -> Any:
        """The journal's item."""
        from platforms.aws.clients import clients  # noqa: PLC0415  slow to load, and diff needs none
        from platforms.aws.journal import DynamoJournal  # noqa: PLC0415

        return DynamoJournal(clients(props["region"]), props["table"], props["endpoint"]).read()

    def controller(self, props: Values) -> Any:
        """A controller with a topic for what people are told."""
        from platforms.aws import endpoint  # noqa: PLC0415  see state

        return endpoint.controller(
            props["endpoint"], props["table"], props["region"], topic=props["topic"], commands=commands_of(props)
        )

    def record_agreed(self, props: Values) -> None:
        """By the objects in the bucket."""
        from platforms.aws import approvals as aws_approvals  # noqa: PLC0415  see state
        from platforms.aws.clients import clients  # noqa: PLC0415
        from platforms.aws.identity import caller_if_told  # noqa: PLC0415
        from platforms.aws.journal import DynamoJournal  # noqa: PLC0415
        from services import approvals  # noqa: PLC0415

        make = clients(props["region"])
        bucket = props["target"]["archive_uri"].removeprefix("s3://").partition("/")[0]
        journal = DynamoJournal(make, props["table"], props["endpoint"], caller_if_told(make))
        approvals.record(aws_approvals.given(make("s3"), bucket, props["target"]["id"]), journal)

    def metrics(self, release: Any, props: Values) -> dict[str, float]:
        """Those that lie beside the archive."""
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415  see state

        from platforms.aws.clients import clients  # noqa: PLC0415
        from platforms.aws.packages import METRICS, DigestMismatch, member  # noqa: PLC0415

        try:
            return json.loads(member(clients(props["region"]), release, METRICS) or b"{}").get("summary", {})
        except (BotoCoreError, ClientError, DigestMismatch):
            return {}
