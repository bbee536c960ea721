"""Measures how far captured requests have moved from the training data: as files arrive, and by a scheduled sweep."""

from __future__ import annotations

import json
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from botocore.exceptions import (
    ClientError,
    ConnectionError,
    HTTPClientError,
    IncompleteReadError,
)

from modelstack.monitoring.drift.watch import DriftWatch
from modelstack.monitoring.log import log
from modelstack.platforms.aws.clients import calling, clients
from modelstack.platforms.aws.documents import DynamoDocuments
from modelstack.platforms.aws.files import captures_of
from modelstack.platforms.aws.handlers.settings import Context, HandlerSettings, measuring, seconds_left
from modelstack.platforms.aws.journal import DynamoJournal
from modelstack.platforms.aws.packages import member
from modelstack.platforms.aws.published import CloudWatchMetrics
from modelstack.platforms.s3.errors import AWS_DOWN, THROTTLED, code_of, status_of
from modelstack.rollout.core.errors import Busy, Conflict, Unreachable
from modelstack.services.drift import measure_drift
from modelstack.services.drift_record import DriftRecord
from modelstack.services.promises import Promises, remembered
from modelstack.services.sealed_packages import DigestMismatch, Sealed

_RESERVE = 60.0  # seconds that reading some more files may take
_LATE = 7200.0  # how far back a sweep looks for files without a message, seconds


def handler(event: Mapping[str, Any], context: Context | None) -> dict[str, Any]:
    """Measure the variants whose captured files the queue's messages name; without messages, sweep all live ones.

    Transient failures (no answer, a deleted capture) are logged and left to the next call: nothing is counted twice,
    and nothing is lost. A variant without a reference is logged and counted as `DriftUnmeasured`.

    Returns the messages for the queue to send again, or the findings of a sweep. A sweep raises `DigestMismatch` at its
    end if a package is not the one that was sealed.
    """
    settings, now = HandlerSettings.from_environment(), time.time()
    arrived = Arrivals.read(event, settings.endpoint) if "Records" in event else None
    try:
        return _measure(settings, now, arrived, context)
    except PASSING as error:
        if not passes(error):
            raise
        log("drift not measured now; a later call goes on", error=str(error))
        return arrived.unsettled(arrived.files) if arrived else {}


def _measure(
    settings: HandlerSettings, now: float, arrived: Arrivals | None, context: Context | None
) -> dict[str, Any]:
    measured = measuring()
    promises = Promises(DynamoJournal(_clients(), settings.journal, settings.endpoint).read(), _member)
    watch = DriftWatch(
        captures=captures_of(_clients(), settings.bucket, settings.endpoint, now - _LATE - measured.block_seconds),
        record=DriftRecord(DynamoDocuments(_clients(), settings.documents)),
        metrics=CloudWatchMetrics(_clients()("cloudwatch"), settings.endpoint),
        false_alarms=measured.drift_false_alarms,
        every=measured.block_seconds,
    )
    files = arrived.files if arrived else None
    found = measure_drift(promises, watch, now, files, lambda: seconds_left(context, most=1, reserve=_RESERVE) > 0)
    failures = [error for error in found.failures if not passes(error)]
    if arrived is None:  # messages are not to blame for a package
        failures += [error for error in found.unmeasured.values() if isinstance(error, DigestMismatch)]
    if failures:
        raise failures[-1]
    if arrived is None:
        measured = found.measured.items()
        return {variant: {"rows": item.rows, "evidence": item.most_evidence} for variant, item in measured}
    late = {key for variant in found.unmeasured for key in watch.late(variant, arrived.files[variant])}
    again = {variant for variant, item in found.measured.items() if item.unfinished or item.failure}
    return arrived.unsettled(again, late)


_clients = lru_cache(clients)


def _read(release: Sealed, name: str) -> bytes | None:
    with calling(f"read {name} of {release.archive_uri}"):
        return member(_clients(), release, name)


_member = remembered(_read)


@dataclass(frozen=True)
class Arrivals:
    """Messages, each with its id, the variant and the file's key, and the ids of unreadable ones.

    Source: Amazon EventBridge user guide, "Amazon S3 events"; AWS Lambda developer guide, "Implementing partial batch
    responses".
    """

    messages: Sequence[tuple[str, str, str]]
    unreadable: Sequence[str]

    @classmethod
    def read(cls, event: Mapping[str, Any], endpoint: str) -> Arrivals:
        """Read an event of the queue; files that are no captures of the endpoint are left out."""
        messages: list[tuple[str, str, str]] = []
        unreadable: list[str] = []
        for record in event["Records"]:
            try:
                key = str(json.loads(record["body"])["detail"]["object"]["key"])
            except (ValueError, KeyError, TypeError) as error:
                log("message not read", id=record["messageId"], error=repr(error))
                unreadable.append(record["messageId"])
                continue
            folder, owner, variant, *rest = [*key.split("/", 3), "", "", ""][:4]
            if (folder, owner) == ("capture", endpoint) and any(rest):
                messages.append((record["messageId"], variant, key))
        return cls(messages, unreadable)

    @property
    def files(self) -> dict[str, set[str]]:
        """Variant -> its files."""
        found: dict[str, set[str]] = {}
        for _, variant, key in self.messages:
            found.setdefault(variant, set()).add(key)
        return found

    def unsettled(self, variants: Collection[str] = (), keys: Collection[str] = ()) -> dict[str, Any]:
        """The response that returns to the queue unreadable messages, and those of some variants or files."""
        again = [one for one, variant, key in self.messages if variant in variants or key in keys]
        return {"batchItemFailures": [{"itemIdentifier": one} for one in (*self.unreadable, *again)]}


PASSING = (ClientError, ConnectionError, HTTPClientError, IncompleteReadError, Busy, Conflict, Unreachable)
"""What may be transient, and waits for the next call then; `passes` decides."""


def passes(error: BaseException) -> bool:
    """Whether the same call may succeed a little later: no connection, a time-out, throttling, a failed service."""
    if isinstance(error, ClientError):
        return status_of(error) >= AWS_DOWN or code_of(error) in THROTTLED
    return isinstance(error, PASSING)
