"""Where sealed packages and images live."""

from __future__ import annotations

from typing import Any

import pulumi
import pulumi_aws as aws

from infra.aws import policies
from infra.config.retention_settings import RetentionSettings
from platforms.aws.names import CAPTURE, CAPTURE_ASIDE, LABELS, LABELS_ASIDE, PIPELINE, VERSIONS, Names

PIPELINE_DAYS = 45
"""How long what executions of the pipeline made is kept: longer than SageMaker may take it for a new execution's."""


class Registry(pulumi.ComponentResource):
    """Where sealed packages and images live.

    Creates:
        A versioned, KMS-encrypted, TLS-only bucket that is never public, where what grows with traffic goes after a
        time, and the audit record never; a key that signs packages, and never leaves KMS; a container repository with
        immutable tags that scans on push; a model package group.
    """

    def __init__(
        self,
        name: str,
        names: Names,
        retain: bool,
        retention: RetentionSettings,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Declare the registry.

        Args:
            name: The logical name.
            names: The stack's names.
            retain: Whether a destroy refuses while there are packages or images.
            retention: How long what grows with traffic is kept.
            opts: Options of the component.
        """
        super().__init__("modelstack:index:Registry", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        self.key = aws.kms.Key(
            "artifacts",
            description=f"Artifacts of {names.prefix}: packages, captured requests",
            enable_key_rotation=True,
            deletion_window_in_days=30 if retain else 7,
            opts=child,
        )
        # Whoever may sign needs `kms:Sign` in their own policy: as AWS makes a key, its policy leaves that to IAM.
        self.signing_key = aws.kms.Key(
            "signing",
            description=f"Signatures of the packages of {names.prefix}",
            customer_master_key_spec="ECC_NIST_P256",
            key_usage="SIGN_VERIFY",
            deletion_window_in_days=30 if retain else 7,
            opts=child,
        )
        self.bucket, self.bucket_rules = self._bucket(names, retain, retention, child)
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
        """Where a package goes, and who signs it, as `infra.providers.package` asks for it."""
        return {
            "bucket": self.bucket.bucket,
            "group": self.group.model_package_group_name,
            "region": region,
            "signing_key": self.signing_key.arn,
        }

    def _bucket(
        self, names: Names, retain: bool, retention: RetentionSettings, child: pulumi.ResourceOptions
    ) -> tuple[aws.s3.Bucket, list[pulumi.Resource]]:
        """The bucket, and the rules that must stand before anything is put into it.

        That its owner owns every object, and no ACL counts, is how S3 makes a bucket.
        """
        bucket = aws.s3.Bucket("artifacts", bucket=names.bucket, force_destroy=not retain, opts=child)
        closed = aws.s3.BucketPublicAccessBlock(
            "artifacts",
            bucket=bucket.bucket,
            block_public_acls=True,
            block_public_policy=True,
            ignore_public_acls=True,
            restrict_public_buckets=True,
            opts=child,
        )
        rules: list[pulumi.Resource] = [
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
                opts=pulumi.ResourceOptions(parent=self, depends_on=[closed]),
            ),
        ]
        return bucket, rules


def _lifecycle(retention: RetentionSettings) -> list[aws.s3.BucketLifecycleConfigurationRuleArgs]:
    """The bucket's rules: requests, labels and what the pipeline made go when they are old, all else only after it was
    overwritten or deleted.

    An object that expires in a versioned bucket becomes an old version; in these folders it goes a day later.
    """
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
