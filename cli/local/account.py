"""In which account of the local cloud does a stack live, and who works there?

environment = keys(places, stack)                  # root's keys of the account that the stack's file allows
someone = user(environment, "approver", policy)    # keys of an IAM user of that account
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import boto3

from cli.errors import OperatorError, explained
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


def user(root: Mapping[str, str], name: str, policy: Mapping[str, Any]) -> dict[str, str]:
    """The variables by which commands sign as an IAM user, who is made if not there; earlier keys of theirs are gone.

    Args:
        root: The same of the account's root.
        name: The user's name.
        policy: The one policy that the user has.

    Raises:
        OperatorError: IAM refuses.
    """
    iam = session(root).client("iam")
    with explained(f"making the user {name}"):
        with suppress(iam.exceptions.EntityAlreadyExistsException):
            iam.create_user(UserName=name)
        iam.put_user_policy(UserName=name, PolicyName=name, PolicyDocument=json.dumps(policy))
        for key in iam.list_access_keys(UserName=name)["AccessKeyMetadata"]:
            iam.delete_access_key(UserName=name, AccessKeyId=key["AccessKeyId"])
        made = iam.create_access_key(UserName=name)["AccessKey"]
    return {"AWS_ACCESS_KEY_ID": made["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": made["SecretAccessKey"]}


def session(given: Mapping[str, str]) -> boto3.Session:
    """A session that signs with given keys, whatever the environment has."""
    return boto3.Session(given["AWS_ACCESS_KEY_ID"], given["AWS_SECRET_ACCESS_KEY"])
