"""Joins late labels with captured answers: runs for each file of either, and on a schedule for what was left."""

from __future__ import annotations

import json
import math
import time
from functools import lru_cache
from typing import Any
from urllib.parse import unquote_plus

from botocore.exceptions import BotoCoreError, ClientError

from monitoring.captured import Malformed
from monitoring.exchanges import traffic
from monitoring.labels.answered import Reader
from monitoring.labels.baseline import Baseline
from monitoring.labels.concept import Tolerated
from monitoring.labels.joining import LabelJoin
from monitoring.labels.pairs import Trial
from monitoring.labels.quality import Form
from monitoring.labels.standing import Promised
from monitoring.log import log
from monitoring.published import DELAY
from platforms.aws.batches import Batches
from platforms.aws.clients import clients
from platforms.aws.files import S3Files
from platforms.aws.handlers.settings import Context, Settings
from platforms.aws.journal import DynamoJournal
from platforms.aws.ledger import DynamoLedger
from platforms.aws.metrics import datum, place, put
from platforms.aws.names import CAPTURE, LABELS
from platforms.aws.packages import BASELINE, FORM, DigestMismatch, Sealed, member
from platforms.aws.table import Table
from platforms.aws.versions import GroupVersions
from rollout.core.state import RolloutState
from services.versions import of_release


def handler(event: dict[str, Any], context: Context | None) -> dict[str, Any]:
    """Take in every file that the event names; without any, sweep. Raises at the end when one could not be taken in."""
    settings = Settings.from_environment()
    state = DynamoJournal(_clients(), settings.journal, settings.endpoint).read()
    files = S3Files(_clients(), settings.bucket)
    table = Table(_clients(), settings.labels, time.time)
    batches = Batches(table, settings.endpoint, _cloudwatch())
    ledger = DynamoLedger(table, batches)
    join = LabelJoin(ledger, files, Trial.of(state))
    records = event.get("Records", [])
    if not records:
        given_up = join.sweep(settings.labels_wait)
        batches.sum_up(lambda variant: _promised(state, variant, settings))
        return {"given_up": given_up}
    ledger.finish()
    joined, written, failure = 0, math.inf, None
    for record in records:
        key = unquote_plus(record["s3"]["object"]["key"])
        try:
            done, at = _take(join, files, state, settings, key)
            log("labels", key=key, joined=done)
            joined, written = joined + done, min(written, at)
        except (ClientError, BotoCoreError, DigestMismatch, ValueError, OSError) as error:
            log("file not taken in", key=key, error=repr(error))
            failure = failure or error
    if joined:
        batches.sum_up(lambda variant: _promised(state, variant, settings))
    if failure:
        raise failure
    if written < math.inf:
        _tell_delay(settings.endpoint, time.time() - written)
    return {"joined": joined}


def _tell_delay(endpoint: str, seconds: float) -> None:
    """Put how far behind the function is; what cannot be put is put by the next call."""
    try:
        put(_cloudwatch(), [datum(DELAY, place(endpoint), [max(0.0, seconds)], "Seconds", time.time())])
    except (ClientError, BotoCoreError) as error:
        log("delay not told", error=repr(error))


def _take(join: LabelJoin, files: S3Files, state: RolloutState, settings: Settings, key: str) -> tuple[int, float]:
    """Take a file in; returns how many pairs it completed, and when it was written: never, if it is another's."""
    folder, _, rest = key.partition("/")
    owner, _, rest = rest.partition("/")
    if folder != LABELS and (folder, owner) != (CAPTURE, settings.endpoint):
        return 0, math.inf  # not ours, nor may we read it
    with files.read(key) as file:
        if folder == LABELS:
            return join.labels(key, file.digest, file.lines), file.written
        variant = rest.partition("/")[0]
        reader = Reader(
            variant,
            _form_of(state, variant, settings),
            written=file.written,
            now=time.time(),
            segments=settings.segments,
        )
        return join.answers(key, reader, traffic(file.lines)), file.written


def _form_of(state: RolloutState, variant: str, settings: Settings) -> Form | Malformed:
    """The form of a variant's predictions, or why it is not known."""
    package = _package(state, variant, settings)
    if package is None:
        return Malformed("neither the rollout nor the registry knows a release of this variant")
    return _form(package) or Malformed("the release has no answer.json")


def _promised(state: RolloutState, variant: str, settings: Settings) -> Promised | None:
    """What a variant's release was sealed with; None for one that nobody knows, or whose package cannot be used."""
    try:
        package = _package(state, variant, settings)
        form = _form(package) if package else None
        sealed = _baseline(package) if package else None
    except (ClientError, BotoCoreError, DigestMismatch, ValueError) as error:
        log("baseline not read", variant=variant, error=repr(error))
        return None
    if form is None:
        return None
    if sealed is None or sealed.usual is None:
        return Promised(form, sealed.performance if sealed else None)
    tolerated = Tolerated.of(
        sealed.usual,
        share=settings.loss_rise,
        false_alarms=settings.concept_false_alarms,
        late_days=settings.labels_days,
        every=settings.drift_every,
    )
    return Promised(form, sealed.performance, tolerated)


def _package(state: RolloutState, variant: str, settings: Settings) -> Sealed | None:
    """The package of a variant: by the journal or, of one that was rolled back or replaced, by the registry."""
    release = next((item for item in state.releases() if item.variant == variant), None)
    if release is not None:
        return release
    if variant not in _forgotten:
        found = (
            of_release(GroupVersions(settings.group, _clients()), variant.removeprefix("v-"))
            if settings.group
            else None
        )
        if found is None:
            return None  # asked for again: it may be a release of another moment
        _forgotten[variant] = found
    return _forgotten[variant]


_forgotten: dict[str, Sealed] = {}
_clients = lru_cache(clients)


@lru_cache(maxsize=8)
def _form(release: Sealed) -> Form | None:
    """What the fields of a release's predictions mean, read once; None when it does not say."""
    found = member(_clients(), release, FORM)
    return Form.from_dict(json.loads(found)) if found else None


@lru_cache(maxsize=8)
def _baseline(release: Sealed) -> Baseline | None:
    """What a release's labels are held against, read once; None when its model tells no answers."""
    found = member(_clients(), release, BASELINE)
    return Baseline.from_dict(json.loads(found)) if found else None


@lru_cache
def _cloudwatch() -> Any:
    """A client that sends once: a repeated PutMetricData counts twice."""
    return clients(attempts=1)("cloudwatch")
