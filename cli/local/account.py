"""In which account of the local cloud a stack lives.

environment = keys(places, stack)    # root's keys of the account that the stack's file allows
"""

from __future__ import annotations

from cli.errors import OperatorError
from cli.local.stack import Stack
from localcloud import process
from localcloud.setup import Places

ALLOWED = "aws:allowedAccountIds"
"""The field of a stack's file: Pulumi's provider for AWS refuses the keys of every other account."""


def account_of(stack: Stack) -> str | None:
    """The account that a local stack's file allows; None when it names none: the stack is in the cloud's own account.

    Raises:
        OperatorError: The file is broken, or allows more than one.
    """
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
    """The variables by which commands on a stack sign as root of its account; none when that is the cloud's own.

    Raises:
        OperatorError: As `account_of`, or the account is not 12 digits.
    """
    account = account_of(stack)
    if account is None:
        return {}
    try:
        return process.keys(places.server_record.parent, account)
    except OSError as error:
        raise OperatorError(f"stack {stack.name}: {ALLOWED}: {error}", exit_code=2) from error
