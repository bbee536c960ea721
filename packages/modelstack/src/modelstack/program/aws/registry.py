"""Storage of sealed packages and images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pulumi
import pulumi_aws as aws

from modelstack.platforms.aws.names import CAPTURE, CAPTURE_ASIDE, LABELS, LABELS_ASIDE, PIPELINE, VERSIONS, Names
from modelstack.program.aws import policies
from modelstack.program.config.retention_settings import RetentionSettings
from modelstack.program.options import Opts

PIPELINE_DAYS = 45
"""Retention of pipeline outputs; longer than SageMaker may reuse one for a new execution."""


class Registry(pulumi.ComponentResource):
    """Storage of sealed packages and images.

    Creates:
        A versioned, KMS-encrypted, TLS-only private bucket, with expiry of data that grows with traffic but not of the
        audit record; a KMS key that signs packages; a repository with immutable tags and scan on push; a package group.
        With `retain` all of them, and the journal with the key of its record, outlive `pulumi destroy`, or none does.
    """

    def __init__(
        self,
        name: str,
        names: Names,
        retain: bool,
        retention: RetentionSettings,
        *,
        bucket: aws.s3.Bucket | None = None,
        rules: Sequence[pulumi.Resource] | None = None,
        key: aws.kms.Key | None = None,
        opts: Opts = None,
    ) -> None:
        """Declare the registry; see `AwsStack.registry` for the caller's own bucket with its rules, and key."""
        super().__init__("modelstack:index:Registry", name, None, opts)
        self.retained = pulumi.ResourceOptions(protect=retain or None, retain_on_delete=retain or None)
        child = pulumi.ResourceOptions.merge(pulumi.ResourceOptions(parent=self), self.retained)
        self.key = key or aws.kms.Key(
            "artifacts",
            description=f"Artifacts of {names.prefix}: packages, captured requests",
            enable_key_rotation=True,
            deletion_window_in_days=30 if retain else 7,
            opts=child,
        )
        # The default key policy leaves `kms:Sign` to IAM.
        self.signing_key = aws.kms.Key(
            "signing",
            description=f"Signatures of the packages of {names.prefix}",
            customer_master_key_spec="ECC_NIST_P256",
            key_usage="SIGN_VERIFY",
            deletion_window_in_days=30 if retain else 7,
            opts=child,
        )
        self.bucket = bucket or aws.s3.Bucket("artifacts", bucket=names.bucket, force_destroy=not retain, opts=child)
        self.bucket_rules = list(rules) if rules is not None else self._rules(names, retention, child)
        self.repository = aws.ecr.Repository(
            "serving",
            name=names.repository,
            image_tag_mutability="IMMUTABLE",
            image_scanning_configuration=aws.ecr.RepositoryImageScanningConfigurationArgs(scan_on_push=True),
            force_delete=not retain,
            opts=child,
        )
        self.group = aws.sagemaker.ModelPackageGroup(
            "packages",
            model_package_group_name=names.package_group,
            model_package_group_description=f"Versions of {names.model} on stack {names.stack}",
            opts=child,
        )
        self.register_outputs(
            {
                "bucket": self.bucket.bucket,
                "group": self.group.model_package_group_name,
                "repository": self.repository.repository_url,
            }
        )

    def place(self, region: str) -> dict[str, Any]:
        """The inputs of `modelstack.program.providers.package` for location and signer."""
        return {
            "bucket": self.bucket.bucket,
            "group": self.group.model_package_group_name,
            "region": region,
            "signing_key": self.signing_key.arn,
        }

    def _rules(
        self, names: Names, retention: RetentionSettings, child: pulumi.ResourceOptions
    ) -> list[pulumi.Resource]:
        """The rules that must exist before objects do. S3 disables ACLs by default."""
        bucket = self.bucket
        closed = aws.s3.BucketPublicAccessBlock(
            "artifacts",
            bucket=bucket.bucket,
            block_public_acls=True,
            block_public_policy=True,
            ignore_public_acls=True,
            restrict_public_buckets=True,
            opts=child,
        )
        return [
            closed,
            aws.s3.BucketVersioning(
                "artifacts",
                bucket=bucket.bucket,
                versioning_configuration=aws.s3.BucketVersioningVersioningConfigurationArgs(status="Enabled"),
                opts=child,
            ),
            aws.s3.BucketServerSideEncryptionConfiguration(
                "artifacts",
                bucket=bucket.bucket,
                rules=[
                    aws.s3.BucketServerSideEncryptionConfigurationRuleArgs(
                        apply_server_side_encryption_by_default=(
                            aws.s3.BucketServerSideEncryptionConfigurationRuleApplyServerSideEncryptionByDefaultArgs(
                                sse_algorithm="aws:kms", kms_master_key_id=self.key.arn
                            )
                        ),
                        bucket_key_enabled=True,
                    )
                ],
                opts=child,
            ),
            aws.s3.BucketLifecycleConfiguration(
                "artifacts", bucket=bucket.bucket, rules=_lifecycle(retention), opts=child
            ),
            aws.s3.BucketPolicy(
                "artifacts",
                bucket=bucket.bucket,
                policy=policies.bucket(names),
                # S3 refuses two changes of a bucket's access at once (OperationAborted).
                opts=pulumi.ResourceOptions.merge(child, pulumi.ResourceOptions(depends_on=[closed])),
            ),
        ]


def _lifecycle(retention: RetentionSettings) -> list[aws.s3.BucketLifecycleConfigurationRuleArgs]:
    """An expired object becomes an old version first; in the folders below that version is deleted a day later."""
    rule, old = aws.s3.BucketLifecycleConfigurationRuleArgs, aws.s3.BucketLifecycleConfigurationRuleExpirationArgs
    filter_ = aws.s3.BucketLifecycleConfigurationRuleFilterArgs
    versions = aws.s3.BucketLifecycleConfigurationRuleNoncurrentVersionExpirationArgs
    kept = dict.fromkeys((CAPTURE, CAPTURE_ASIDE, LABELS, LABELS_ASIDE), retention.requests_days) | {
        PIPELINE: PIPELINE_DAYS
    }
    return [
        *(
            rule(
                id=folder,
                status="Enabled",
                filter=filter_(prefix=f"{folder}/"),
                expiration=old(days=days),
                noncurrent_version_expiration=versions(noncurrent_days=1),
            )
            for folder, days in kept.items()
        ),
        rule(
            id=VERSIONS,
            status="Enabled",
            filter=filter_(prefix=""),
            expiration=old(expired_object_delete_marker=True),
            noncurrent_version_expiration=versions(noncurrent_days=retention.versions_days),
            abort_incomplete_multipart_upload=(
                aws.s3.BucketLifecycleConfigurationRuleAbortIncompleteMultipartUploadArgs(days_after_initiation=7)
            ),
        ),
    ]
