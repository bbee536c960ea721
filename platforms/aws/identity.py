"""Who calls, by the credentials, and how the registry's metadata names them."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from services.principals import as_metadata, person
from services.sealed_packages import REGISTERED_BY, TRAINED_BY

if TYPE_CHECKING:  # a training job has no rollout, which that needs
    from platforms.aws.clients import Clients

__all__ = ["REGISTERED_BY", "TRAINED_BY", "as_metadata", "caller", "caller_if_told", "person"]


def caller(clients: Clients) -> str:
    """The ARN of who the credentials say."""
    return clients("sts").get_caller_identity()["Arn"]


def caller_if_told(clients: Clients) -> str:
    """The same; empty where AWS does not say so."""
    with suppress(ClientError, BotoCoreError):
        return caller(clients)
    return ""
