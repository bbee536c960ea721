"""Who calls, by the credentials, and how the registry's metadata names them."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from platforms.sealed_packages import REGISTERED_BY, TRAINED_BY

if TYPE_CHECKING:  # a training job has no rollout, which that needs
    from platforms.aws.clients import Clients

__all__ = ["REGISTERED_BY", "TRAINED_BY", "as_metadata", "caller", "caller_if_told", "person"]
_NOT_IN_METADATA = re.compile(r"[^\w .:/=+@-]")


def caller(clients: Clients) -> str:
    """The ARN of who the credentials say."""
    return clients("sts").get_caller_identity()["Arn"]


def caller_if_told(clients: Clients) -> str:
    """The same; empty where AWS does not say so."""
    with suppress(ClientError, BotoCoreError):
        return caller(clients)
    return ""


def person(arn: str) -> str:
    """Who is behind an identity: the user's name, or that of the session in which somebody has taken a role.

    One who takes two roles, or a role beside their user, is the same person.
    """
    return arn.rpartition("/")[2]


def as_metadata(arn: str) -> str:
    """An ARN as a registered version's metadata can hold it: some signs that a name may have are not allowed there."""
    return _NOT_IN_METADATA.sub("_", arn)[:256]
