"""The caller's identity."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

if TYPE_CHECKING:  # a training job has no rollout, which that needs
    from modelstack.platforms.aws.clients import Clients


def caller(clients: Clients) -> str:
    """The ARN of the credentials."""
    return clients("sts").get_caller_identity()["Arn"]


def caller_if_told(clients: Clients) -> str:
    """The same; empty if AWS does not answer."""
    with suppress(ClientError, BotoCoreError):
        return caller(clients)
    return ""
