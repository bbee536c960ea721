"""Accounts of stacks in the local cloud."""

from __future__ import annotations

from cli.errors import OperatorError
from cli.local.stack import Stack
from localcloud import process
from localcloud.setup import Places

ALLOWED = "aws:allowedAccountIds"  # Pulumi's AWS provider refuses the keys of every other account


def account_of(stack: Stack) -> str | None:
    """The account that a local stack's file allows, None for the cloud's own; OperatorError if it names several."""
    allowed = (stack.written().get("config") or {}).get(ALLOWED)
    if allowed is None:
        return None
    if not isinstance(allowed, list) or len(allowed) != 1:
        raise OperatorError(
            f"stack {stack.name}: {ALLOWED} is {allowed!r}; of a local stack, allowed is a list of one account, "
            "12 digits in quotes",
            exit_code=2,
        )
    return str(allowed[0])


def keys(places: Places, stack: Stack) -> dict[str, str]:
    """The variables with root's keys of a stack's account, empty for the cloud's own."""
    account = account_of(stack)
    if account is None:
        return {}
    try:
        return process.keys(places.server_record.parent, account)
    except OSError as error:
        raise OperatorError(f"stack {stack.name}: {ALLOWED}: {error}", exit_code=2) from error
