"""The journal is read in the account that resources are declared in, or nothing is declared."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pulumi
import pulumi_aws as aws
import pytest

from modelstack.program.aws.stack_now import check_account
from modelstack.rollout.core.state import RolloutState
from tests.program.recorded import ACCOUNT, OLD, idle, stopped

OTHER = "111122223333"
NOTHING = RolloutState("flight-delay-local")


def caller(account: str) -> aws.GetCallerIdentityResult:
    return aws.GetCallerIdentityResult(account, f"arn:aws:iam::{account}:user/ada", account, account)


def unasked() -> str:
    raise AssertionError("an update of a stack with a release makes no call for this")


@pytest.mark.parametrize(("state", "own"), [(NOTHING, lambda: ACCOUNT), (idle(OLD), unasked)])
def test_one_account_goes_on(state: RolloutState, own: Any) -> None:
    check_account(caller(ACCOUNT), state, own)


@pytest.mark.parametrize(
    ("state", "own"),
    [(NOTHING, lambda: OTHER), (idle(OLD), unasked), (replace(NOTHING, challenger=OLD), unasked)],
)
def test_a_journal_of_another_account_is_refused_with_both(state: RolloutState, own: Any) -> None:
    theirs, ours = (ACCOUNT, OTHER) if state is NOTHING else (OTHER, ACCOUNT)
    with pytest.raises(pulumi.RunError, match="nothing was changed") as caught:
        check_account(caller(theirs), state, own)
    assert f"arn:aws:iam::{theirs}:user/ada, and the program in account {ours}" in str(caught.value)


def test_nothing_is_declared_with_two_accounts() -> None:
    """An empty journal, read where there is none, would take the live release out of the stack."""
    world, why = stopped(own=OTHER)
    assert f"in account {OTHER}" in why
    assert {item.type.split(":")[0] for item in world.resources} <= {"pulumi"}, "the provider's process has started"
