"""Capture checks and the join of late labels."""

from __future__ import annotations

from collections.abc import Mapping

import pulumi
import pulumi_aws as aws

from infra.aws import policies
from infra.aws.dead_letters import dead_letters
from infra.aws.function import Function
from infra.aws.site import Site
from platforms.aws.names import CAPTURE, LABELS

SWEEP_MINUTES = 5
FOLDERS = (CAPTURE, LABELS)


class Labels:
    """Capture checks and the join of late labels.

    Creates:
        The labels function, called for each file under `capture/` and `labels/` of the bucket and on a schedule; a
        dead-letter queue for files that it could not process.
    """

    def __init__(self, site: Site, *, measures: Mapping[str, str], opts: pulumi.ResourceOptions) -> None:
        self._names, self._child = site.names, opts
        self.function = self._function(site, measures)
        self._hears_of_files(site.registry.bucket)

    def _function(self, site: Site, measures: Mapping[str, str]) -> Function:
        names = site.names
        queue = dead_letters(
            "labels-dead-letters", names.labels_dead_letters, self._child, policies.labels_dead_letters(names)
        )
        function = Function(
            "labels",
            site,
            does="Check captured answers, join late labels with them, and put how valid and how right each was.",
            may=site.allowed(policies.labels),
            timeout=300,
            dead_letters=queue.arn,
            environment=measures,
            opts=self._child,
        )
        function.runs_every(SWEEP_MINUTES)
        return function

    def _hears_of_files(self, bucket: aws.s3.Bucket) -> None:
        permission = self.function.may_be_called_by("s3", bucket.arn)
        aws.s3.BucketNotification(
            "files",
            bucket=bucket.bucket,
            eventbridge=True,  # for the drift function: a bucket has one notification resource
            lambda_functions=[
                aws.s3.BucketNotificationLambdaFunctionArgs(
                    id=folder,
                    lambda_function_arn=self.function.function.arn,
                    events=["s3:ObjectCreated:*"],
                    filter_prefix=f"{folder}/",
                )
                for folder in FOLDERS
            ],
            opts=pulumi.ResourceOptions.merge(self._child, pulumi.ResourceOptions(depends_on=[permission])),
        )
