"""Asks the endpoint whether it answers, and counts whether it did: a scheduled run."""

from __future__ import annotations

import time
import uuid
from functools import lru_cache
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from monitoring.captured import PROBED
from monitoring.log import log
from monitoring.objectives import probe
from platforms.aws.clients import clients
from platforms.aws.handlers.settings import Context, Settings
from platforms.aws.journal import DynamoJournal
from platforms.aws.metrics import datum, place, put
from platforms.aws.packages import member
from platforms.s3.errors import code_of
from rollout.core.release import Release

_JSON = "application/json"
_NO_VARIANT = "ValidationError"  # among others: of a variant that the endpoint has not


def handler(event: object, context: Context | None) -> dict[str, Any]:
    """Probe once. Before the first release nothing is asked, and nothing counted.

    Raises:
        UnreadableSample: The champion's package has no request to probe with.
        DigestMismatch: The champion's package is not the one that was sealed.
    """
    settings = Settings.from_environment()
    champion = DynamoJournal(_clients(), settings.journal, settings.endpoint).read().champion
    if champion is None:
        return {"probed": False}
    outcome = probe.run(_sample(champion), lambda body: _ask(settings.endpoint, champion.variant, body), time.monotonic)
    log("probe", ok=outcome.ok, milliseconds=outcome.milliseconds, why=outcome.why)
    _count(settings.endpoint, outcome)
    return {"probed": True, "ok": outcome.ok}


def _ask(endpoint: str, champion: str, body: bytes) -> bytes:
    """Ask the champion, so that a trial without traffic is not taken for one with some.

    Where a promotion has just taken its variant from the endpoint, whoever serves is asked.
    """
    asked: dict[str, Any] = {"EndpointName": endpoint, "Body": body, "ContentType": _JSON, "Accept": _JSON}
    asked["InferenceId"] = f"{PROBED}{uuid.uuid4().hex}"
    runtime = _once("sagemaker-runtime")
    try:
        try:
            answer = runtime.invoke_endpoint(**asked, TargetVariant=champion)
        except ClientError as error:
            if code_of(error) != _NO_VARIANT:
                raise
            answer = runtime.invoke_endpoint(**asked)
        return answer["Body"].read()
    except (ClientError, BotoCoreError) as error:
        raise probe.Unanswered(str(error)) from error


def _count(endpoint: str, outcome: probe.Outcome) -> None:
    now = time.time()
    data = [datum(name, place(endpoint), [value], unit, now) for name, value, unit in outcome.metrics()]
    put(_clients()("cloudwatch"), data)


@lru_cache(maxsize=2)
def _sample(champion: Release) -> bytes:
    """The request in the champion's package, which is read once a champion."""
    return probe.sample(member(_clients(), champion, probe.SAMPLE))


_clients = lru_cache(clients)


@lru_cache
def _once(service: str) -> Any:
    """A client that asks once: a second attempt would hide that the first one failed."""
    return clients(attempts=1, answer_within=20)(service)
