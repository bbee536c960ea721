"""Joins late labels with captured predictions: runs for each file of either, and on a schedule for the rest."""

from __future__ import annotations

import math
import time
from functools import lru_cache
from typing import Any
from urllib.parse import unquote_plus

from botocore.exceptions import BotoCoreError, ClientError

from modelstack.monitoring.log import log
from modelstack.monitoring.measurements import Datum
from modelstack.monitoring.published import DELAY
from modelstack.platforms.aws.clients import calling, clients
from modelstack.platforms.aws.documents import DynamoDocuments
from modelstack.platforms.aws.files import S3Files
from modelstack.platforms.aws.handlers.settings import Context, HandlerSettings, measuring
from modelstack.platforms.aws.journal import DynamoJournal
from modelstack.platforms.aws.names import CAPTURE, LABELS
from modelstack.platforms.aws.packages import member
from modelstack.platforms.aws.published import CloudWatchMetrics
from modelstack.platforms.aws.versions import GroupVersions
from modelstack.rollout.core.errors import RolloutError
from modelstack.services.labels import Labels
from modelstack.services.promises import Promises, remembered
from modelstack.services.sealed_packages import Sealed
from modelstack.services.versions import PastReleases


def handler(event: dict[str, Any], context: Context | None) -> dict[str, Any]:
    """Take in every file of the event; without any, sweep. Raises at the end if a file could not be taken in."""
    settings = HandlerSettings.from_environment()
    files, metrics = S3Files(_clients(), settings.bucket), CloudWatchMetrics(_cloudwatch(), settings.endpoint)
    state = DynamoJournal(_clients(), settings.journal, settings.endpoint).read()
    promises = Promises(state, _member, lambda variant: _find(settings.group, variant), measuring())
    labels = Labels(DynamoDocuments(_clients(), settings.documents, _now), metrics, files, promises, _now)
    records = event.get("Records", [])
    if not records:
        return {"given_up": labels.sweep()}
    labels.finish()
    joined, written, failure = 0, math.inf, None
    for record in records:
        key = unquote_plus(record["s3"]["object"]["key"])
        try:
            done, at = _take(labels, files, settings, key)
            log("labels", key=key, joined=done)
            joined, written = joined + done, min(written, at)
        except (RolloutError, ClientError, BotoCoreError, ValueError, OSError) as error:
            log("file not taken in", key=key, error=repr(error))
            failure = failure or error
    if joined:
        labels.sum_up()
    if failure:
        raise failure
    if written < math.inf:
        _publish_delay(metrics, _now() - written)
    return {"joined": joined}


def _publish_delay(metrics: CloudWatchMetrics, seconds: float) -> None:
    """Publish the function's delay; failures are left to the next call."""
    try:
        metrics.put([Datum(DELAY, "", max(0.0, seconds), "Seconds", _now())])
    except RolloutError as error:
        log("delay not published", error=repr(error))


def _take(labels: Labels, files: S3Files, settings: HandlerSettings, key: str) -> tuple[int, float]:
    """Take a file in: the number of completed pairs and the time of writing (infinite for another endpoint's file)."""
    folder, _, rest = key.partition("/")
    owner, _, rest = rest.partition("/")
    if folder != LABELS and (folder, owner) != (CAPTURE, settings.endpoint):
        return 0, math.inf  # not ours, nor may we read it
    with files.read(key) as file:
        if folder == LABELS:
            return labels.take_labels(key, file.digest, file.lines), file.written
        return labels.take_answers(rest.partition("/")[0], key, file.written, file.lines), file.written


def _find(group: str, variant: str) -> Sealed | None:
    """The package of a variant that was rolled back or replaced, from the registry."""
    with calling(f"look for {variant} in {group}"):
        return _past.find(group, variant) if group else None


_clients = lru_cache(clients)
_past = PastReleases(lambda group: GroupVersions(group, _clients()))


def _read(release: Sealed, name: str) -> bytes | None:
    with calling(f"read {name} of {release.archive_uri}"):
        return member(_clients(), release, name)


_member = remembered(_read)


@lru_cache
def _cloudwatch() -> Any:
    """A client that sends once: a repeated PutMetricData counts twice."""
    return clients(attempts=1)("cloudwatch")


def _now() -> float:
    return time.time()
