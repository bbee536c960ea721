"""Capture checks and the join of late labels."""

from __future__ import annotations

from collections.abc import Mapping

import pulumi
import pulumi_aws as aws

from infra.aws import policies
from infra.aws.function import Function, dead_letters
from infra.aws.site import Site
from platforms.aws.names import CAPTURE, LABELS

SWEEP_MINUTES = 5
FOLDERS = (CAPTURE, LABELS)


def labels(site: Site, measures: Mapping[str, str], opts: pulumi.ResourceOptions) -> None:
    """Declare the labels function, with a dead-letter queue for files that it could not process.

    It is called on a schedule and for each file under `capture/` and `labels/` of the bucket.
    """
    names, bucket = site.names, site.registry.bucket
    queue = dead_letters("labels-dead-letters", names.labels_dead_letters, opts, policies.labels_dead_letters(names))
    function = Function(
        "labels",
        site,
        does="Check captured answers, join late labels with them, and put how valid and how right each was.",
        may=site.allowed(policies.labels),
        timeout=300,
        dead_letters=queue.arn,
        environment=measures,
        opts=opts,
    )
    function.runs_every(SWEEP_MINUTES)
    permission = function.may_be_called_by("s3", bucket.arn)
    aws.s3.BucketNotification(
        "files",
        bucket=bucket.bucket,
        eventbridge=True,  # for the drift function: a bucket has one notification resource
        lambda_functions=[
            aws.s3.BucketNotificationLambdaFunctionArgs(
                id=folder,
                lambda_function_arn=function.function.arn,
                events=["s3:ObjectCreated:*"],
                filter_prefix=f"{folder}/",
            )
            for folder in FOLDERS
        ],
        opts=pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(depends_on=[permission])),
    )
