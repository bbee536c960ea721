"""The key that signs the audit record."""

from __future__ import annotations

import pulumi
import pulumi_aws as aws

from infra.aws import policies
from platforms.aws.names import Names


def audit_key(names: Names, opts: pulumi.ResourceOptions) -> aws.kms.Key:
    """Declare the key that signs the audit record: a pair of which everybody who may can read the public part.

    Only the controller's role may sign with it: who may release a package must not be able to write the record of it.
    AWS rotates no such key. When the stack goes, there are 30 days to fetch the public part for the exports.
    """
    return aws.kms.Key(
        "audit",
        description=f"Signs the audit record of {names.prefix}",
        key_usage="SIGN_VERIFY",
        customer_master_key_spec="ECC_NIST_P256",
        policy=policies.audit_key(names),
        deletion_window_in_days=30,
        opts=opts,
    )
