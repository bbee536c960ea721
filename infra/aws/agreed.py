"""How many people agreed to a release, by the bucket of the stack."""

from __future__ import annotations

from infra.agreement import not_known
from infra.aws.stack_now import StackNow


def agreed(stack_now: StackNow, release: str) -> int:
    """How many have agreed; nobody before the stack's first update.

    Raises:
        pulumi.RunError: S3 does not tell.
    """
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415  most stacks ask nobody

    from platforms.aws.approvals import count  # noqa: PLC0415
    from platforms.aws.clients import clients  # noqa: PLC0415
    from platforms.s3.errors import code_of  # noqa: PLC0415

    names = stack_now.names
    try:
        return count(clients(names.region)("s3"), names.bucket, release)
    except (BotoCoreError, ClientError) as error:
        if code_of(error) == "NoSuchBucket":
            return 0
        raise not_known(release, error) from None
