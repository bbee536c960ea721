"""boto3 clients with bounded retries, and AWS's errors as errors of a rollout."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from functools import lru_cache
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from modelstack.platforms.aws.metrics import EVENT, datum, place, put
from modelstack.platforms.s3.errors import AWS_DOWN, THROTTLED, code_of, status_of
from modelstack.rollout.core.catalogue import EVENTS
from modelstack.rollout.core.errors import Busy, RolloutError, Unreachable

DENIED = {"AccessDenied", "AccessDeniedException"}
Clients = Callable[[str], Any]
"""Gives the boto3 client of a service by its name."""


def clients(
    region: str | None = None, session: Any = None, *, attempts: int = 4, answer_within: float | None = None
) -> Clients:
    """Clients that are created on first use, with retries and time-outs that fit into a Lambda call.

    At most `attempts` of each call. `answer_within` is the read time-out, seconds; by default 15, and 65 for
    `sagemaker-runtime`, as a model may take 60.
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
    """A session with an assumed role, valid for an hour, or `RolloutError`."""
    with calling(f"assume role {role}"):
        given = clients(region)("sts").assume_role(RoleArn=role, RoleSessionName="promotion")["Credentials"]
    return boto3.Session(given["AccessKeyId"], given["SecretAccessKey"], given["SessionToken"], region_name=region)


@contextmanager
def calling(doing: str) -> Generator[None]:
    """Translate AWS's errors: throttled is `Busy`, no answer or 5XX is `Unreachable`, all others are `RolloutError`."""
    try:
        yield
    except ClientError as error:
        if code_of(error) in THROTTLED:
            raise Busy(f"{doing}: throttled: {error}") from error
        if status_of(error) >= AWS_DOWN:
            raise Unreachable(f"{doing}: {error}") from error
        then = "; `pulumi up` restores the rights of the stack's own roles" if code_of(error) in DENIED else ""
        raise RolloutError(f"{doing}: {error}{then}") from error
    except BotoCoreError as error:
        raise Unreachable(f"{doing}: {error}") from error


def count_event(clients: Clients, endpoint: str, kind: str, at: float) -> None:
    """Count an event of an endpoint in CloudWatch. Failures are ignored: people are notified in other ways."""
    with suppress(ClientError, BotoCoreError):
        put(clients("cloudwatch"), [datum(EVENTS, place(endpoint, **{EVENT: kind}), [1.0], "Count", at)])
