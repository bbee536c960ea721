"""Access of other accounts' stacks to this stack's champion."""

from __future__ import annotations

import pulumi
import pulumi_aws as aws

from modelstack.platforms.aws.names import Names
from modelstack.program.aws import policies
from modelstack.program.aws.registry import Registry
from modelstack.program.options import Opts


class Promotion(pulumi.ComponentResource):
    """Access of other accounts' stacks to this stack's champion.

    Creates:
        A role to assume, which reads the journal, packages and their versions; a pull policy of the image repository.
    """

    def __init__(
        self, name: str, names: Names, *, accounts: tuple[str, ...], registry: Registry, opts: Opts = None
    ) -> None:
        super().__init__("modelstack:index:Promotion", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        self.role = aws.iam.Role(
            "promotion",
            name=names.promotion_role,
            assume_role_policy=policies.accounts_trust(names, accounts),
            opts=child,
        )
        aws.iam.RolePolicy(
            "promotion",
            role=self.role.name,
            policy=registry.key.arn.apply(lambda key: policies.promotion(names, key)),
            opts=child,
        )
        aws.ecr.RepositoryPolicy(
            "promotion",
            repository=registry.repository.name,
            policy=policies.accounts_pull(names, accounts),
            opts=child,
        )
        self.register_outputs({"role": self.role.arn})
