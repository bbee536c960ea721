"""What the adapters for AWS share: clients with bounded retries, and AWS's errors as a rollout understands them."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from functools import lru_cache
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from platforms.aws.metrics import EVENT, datum, place, put
from platforms.s3.errors import AWS_DOWN, THROTTLED, code_of, status_of
from rollout.core.catalogue import EVENTS
from rollout.core.errors import Busy, RolloutError, Unreachable

Clients = Callable[[str], Any]
"""Gives the boto3 client of a service by its name."""


def clients(
    region: str | None = None, session: Any = None, *, attempts: int = 4, answer_within: float | None = None
) -> Clients:
    """Make clients on first use, with bounded retries and short time-outs: a step ends within a Lambda's time.

    Args:
        region: The AWS region; None takes the session's.
        session: A boto3 session; None makes one from the environment.
        attempts: At most, of each call.
        answer_within: How long an attempt waits for its answer, seconds; None is 15, and of a model 65, as it may take
            60 to answer.
    """
    source: Any = session or boto3.Session(region_name=region)
    settings = Config(
        retries={"mode": "standard", "total_max_attempts": attempts},
        connect_timeout=3,
        region_name=region,
    )

    @lru_cache
    def client(service: str) -> Any:
        usual = 65 if service == "sagemaker-runtime" else 15
        return source.client(service, config=settings.merge(Config(read_timeout=answer_within or usual)))

    return client


def acting_as(role: str, region: str) -> boto3.Session:
    """A session with what a role may do, for the hour that its credentials last.

    Raises:
        RolloutError: The role may not be assumed.
    """
    with calling(f"assume role {role}"):
        given = clients(region)("sts").assume_role(RoleArn=role, RoleSessionName="promotion")["Credentials"]
    return boto3.Session(given["AccessKeyId"], given["SecretAccessKey"], given["SessionToken"], region_name=region)


@contextmanager
def calling(doing: str) -> Generator[None]:
    """Turn what AWS raises into what a rollout understands."""
    try:
        yield
    except ClientError as error:
        if code_of(error) in THROTTLED:
            raise Busy(f"{doing}: throttled: {error}") from error
        if status_of(error) >= AWS_DOWN:
            raise Unreachable(f"{doing}: {error}") from error
        raise RolloutError(f"{doing}: {error}") from error
    except BotoCoreError as error:
        raise Unreachable(f"{doing}: {error}") from error


def count_event(clients: Clients, endpoint: str, kind: str, at: float) -> None:
    """Count an event in CloudWatch. That it cannot be counted stops nothing: people are told of it by other ways.

    Args:
        clients: Gives clients.
        endpoint: What it happened to.
        kind: What happened.
        at: When, epoch seconds.
    """
    with suppress(ClientError, BotoCoreError):
        put(clients("cloudwatch"), [datum(EVENTS, place(endpoint, **{EVENT: kind}), [1.0], "Count", at)])
