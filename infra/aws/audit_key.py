"""The key that signs the audit record."""

from __future__ import annotations

import pulumi
import pulumi_aws as aws

from infra.aws import policies
from platforms.aws.names import Names


def audit_key(names: Names, opts: pulumi.ResourceOptions) -> aws.kms.Key:
    """Declare the key pair that signs the audit record; principals of the account may read the public key.

    Only the controller's role may sign: a principal that releases must not be able to write the record of it. AWS does
    not rotate asymmetric keys. A deleted stack leaves 30 days to fetch the public key for its exports.
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
