"""Where a stack on AWS may run: in the local cloud or not, and in which region."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

import pulumi

from modelstack.pipeline.forms import one_of
from modelstack.pipeline.project import cloud_commands
from modelstack.program.config.problems import Problem
from modelstack.program.config.target import LOCAL, LOOPBACK, is_local

_OF_ENVIRONMENT = {
    "accessKey": "AWS_ACCESS_KEY_ID",
    "assumeRoleWithWebIdentity": "AWS_ROLE_ARN and AWS_WEB_IDENTITY_TOKEN_FILE",
    "assumeRoles": "AWS_PROFILE, to a profile with `role_arn` and `source_profile`",
    "profile": "AWS_PROFILE",
    "secretKey": "AWS_SECRET_ACCESS_KEY",
    "sharedConfigFiles": "AWS_CONFIG_FILE",
    "sharedCredentialsFiles": "AWS_SHARED_CREDENTIALS_FILE",
    "token": "AWS_SESSION_TOKEN",
}
"""Credential fields of `aws`, which only Pulumi's provider reads -> the equivalent for every AWS client."""


def check_target(stack: str, environment: Mapping[str, str]) -> None:
    """Refuse a local stack that points outside, and any other stack that points at the local cloud."""
    endpoint = environment.get("AWS_ENDPOINT_URL", "")
    inside = urlsplit(endpoint).hostname in LOOPBACK
    if is_local(stack) and not inside:
        start, point = cloud_commands()
        raise pulumi.RunError(
            f"stack {stack!r} is a local stack, but AWS_ENDPOINT_URL is {endpoint or 'not set'!r}; it must point at "
            f"the local cloud, such as http://127.0.0.1:4566. Run: {start}, then: {point}"
        )
    if not is_local(stack) and inside:
        raise pulumi.RunError(
            f"stack {stack!r} is not a local stack, but AWS_ENDPOINT_URL is {endpoint!r}; only stacks whose name "
            f"starts with {LOCAL!r} use it. Run: unset AWS_ENDPOINT_URL, and use the credentials of an AWS account"
        )


def provider_problems(config: Mapping[str, str]) -> list[Problem]:
    """What is wrong with the config of Pulumi's provider: its region, and credential fields, which only it reads.

    The program reads the journal with the environment's credentials. In another account it would find none, and delete
    live resources. Values are not shown, since some are secret.
    """
    region = wrong_region(config.get("aws:region"))
    return ([region] if region else []) + [
        Problem(
            f"aws:{name}",
            f"only Pulumi's provider for AWS reads this, and it may be another account's than the environment's, "
            f"which the program and the commands use. Type `pulumi config rm aws:{name}`, and set {instead}",
        )
        for name, instead in _OF_ENVIRONMENT.items()
        if f"aws:{name}" in config
    ]


def wrong_region(region: str | None) -> Problem | None:
    """What is wrong with `aws:region`; None when it is a region of AWS."""
    if not region:
        how = "Set it, such as: pulumi config set aws:region us-east-1"
        return Problem("aws:region", f"allowed is a region of AWS. {how}", missing=True)
    known = regions()
    if region in known:
        return None
    return Problem("aws:region", f"allowed is a region of AWS: {one_of(region, known)}", region)


def regions() -> list[str]:
    """The regions of AWS in the installed botocore's `partitions.json`; botocore itself is not loaded."""
    found = importlib.util.find_spec("botocore")
    assert found is not None  # noqa: S101  locked
    assert found.origin is not None  # noqa: S101  a package on disk
    content = json.loads((Path(found.origin).parent / "data" / "partitions.json").read_text())
    names = (name for partition in content["partitions"] for name in partition["regions"])
    return [name for name in names if not name.endswith("-global")]
