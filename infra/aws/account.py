"""Check that Pulumi's AWS provider and the program use the same account.

They take credentials from the environment by two libraries. If these disagree, the program reads another account's
journal, finds none, and would delete live resources.
"""

from __future__ import annotations

from collections.abc import Callable

import pulumi
import pulumi_aws as aws

from rollout.core.errors import RolloutError
from rollout.core.state import RolloutState


def check_account(caller: aws.GetCallerIdentityResult, state: RolloutState, own: Callable[[], str]) -> None:
    """Refuse a journal of another account than the provider's. `own` is called if the journal has no release."""
    account = _of_releases(state) or own()
    if account != caller.account_id:
        raise pulumi.RunError(
            f"the credentials lead to two accounts, so nothing was changed: Pulumi's provider for AWS calls as "
            f"{caller.arn}, and the program in account {account}. Set one kind of credentials in the environment: "
            "AWS_PROFILE, or the keys, not both"
        )


def _of_releases(state: RolloutState) -> str:
    """The ARNs of packages hold the account; empty without releases or ARNs."""
    parts = [release.version.split(":") for release in (state.champion, state.challenger) if release]
    return next((found[4] for found in parts if len(found) > 4), "")


def own_account(region: str) -> str:
    """The account of the program's own calls."""
    from platforms.aws.clients import calling, clients  # noqa: PLC0415  it loads boto3, which a later update does not need

    try:
        with calling("ask whose the credentials are"):
            return clients(region)("sts").get_caller_identity()["Account"]
    except RolloutError as error:
        raise pulumi.RunError(f"AWS does not say whose the credentials are, so nothing was changed: {error}") from None
