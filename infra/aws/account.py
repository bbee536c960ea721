"""Do Pulumi's provider for AWS and the program call AWS as the same account?

Both take their credentials from the environment, but by two libraries. Where these disagree, the journal would be read
in an account that has none, and all that is live would look like what nobody needs.
"""

from __future__ import annotations

from collections.abc import Callable

import pulumi
import pulumi_aws as aws

from rollout.core.errors import RolloutError
from rollout.core.state import RolloutState


def check_account(caller: aws.GetCallerIdentityResult, state: RolloutState, own: Callable[[], str]) -> None:
    """Refuse to go on when the journal was read in another account than resources are declared in.

    Args:
        caller: As whom the provider calls.
        state: The journal. It names its account, by the packages of its releases.
        own: Asks for the account of the program's own calls, which only a journal without releases needs.

    Raises:
        pulumi.RunError: The accounts differ, or AWS does not say whose the program's credentials are.
    """
    account = _of_releases(state) or own()
    if account != caller.account_id:
        raise pulumi.RunError(
            f"the credentials lead to two accounts, so nothing was changed: Pulumi's provider for AWS calls as "
            f"{caller.arn}, and the program in account {account}. Set one kind of credentials in the environment: "
            "AWS_PROFILE, or the keys, not both"
        )


def _of_releases(state: RolloutState) -> str:
    """The account of the releases in a journal; empty when there are none, or their packages have no ARN."""
    parts = [release.version.split(":") for release in (state.champion, state.challenger) if release]
    return next((found[4] for found in parts if len(found) > 4), "")


def own_account(region: str) -> str:
    """The account that the program's own calls reach.

    Raises:
        pulumi.RunError: AWS does not say.
    """
    from platforms.aws.clients import calling, clients  # noqa: PLC0415  it loads boto3, which a later update does not need

    try:
        with calling("ask whose the credentials are"):
            return clients(region)("sts").get_caller_identity()["Account"]
    except RolloutError as error:
        raise pulumi.RunError(f"AWS does not say whose the credentials are, so nothing was changed: {error}") from None
