"""Measures how far captured requests have moved from the training data: as files arrive, and by a scheduled sweep."""

from __future__ import annotations

import json
import time
from collections.abc import Collection, Mapping
from functools import lru_cache
from typing import Any

from monitoring.drift.reference import Reference
from monitoring.drift.watch import DriftWatch
from monitoring.log import log
from platforms.aws.arrivals import Arrivals
from platforms.aws.clients import clients
from platforms.aws.drift_table import DynamoRecord
from platforms.aws.files import CloudWatchMetrics, S3Captures
from platforms.aws.handlers.settings import Context, Settings, seconds_left
from platforms.aws.journal import DynamoJournal
from platforms.aws.packages import REFERENCE, DigestMismatch, member
from platforms.aws.transient import PASSING, gone, passes
from rollout.core.release import Release
from rollout.core.state import RolloutState

_RESERVE = 60.0  # seconds that reading some more files may take
_LATE = 7200.0  # seconds back that a sweep looks for files of which no message told


def handler(event: Mapping[str, Any], context: Context | None) -> dict[str, Any]:
    """Measure the variants whose captured files the queue's messages tell of; without messages, sweep all live ones.

    What passes by itself (a service that does not answer, a capture that has gone) is logged and left to the next call:
    nothing is counted twice, and nothing is lost. A variant whose reference cannot be had is logged and counted as
    `DriftUnmeasured`.

    Returns:
        For messages, those that the queue is to give again; for a sweep, what was found.

    Raises:
        DigestMismatch: At the end of a sweep, when a package is not the one that was sealed.
    """
    settings, now = Settings.from_environment(), time.time()
    arrived = Arrivals.read(event, settings.endpoint) if "Records" in event else None
    try:
        return _measure(settings, now, arrived, context)
    except PASSING as error:
        if not passes(error):
            raise
        log("drift not measured now; a later call goes on", error=str(error))
        return arrived.unsettled(arrived.files) if arrived else {}


def _measure(settings: Settings, now: float, arrived: Arrivals | None, context: Context | None) -> dict[str, Any]:
    state = DynamoJournal(_clients(), settings.journal, settings.endpoint).read()
    named = arrived.files if arrived else None
    references, unmeasured, changed = _references(state, named)
    watch = DriftWatch(
        captures=S3Captures(_clients(), settings.bucket, settings.endpoint, since=now - _LATE - settings.drift_every),
        record=DynamoRecord(_clients(), settings.journal, settings.endpoint),
        metrics=CloudWatchMetrics(_clients(), settings.endpoint),
        false_alarms=settings.false_alarms,
        every=settings.drift_every,
    )
    found = watch.measure(
        references, now, named, unmeasured, lambda: seconds_left(context, most=1, reserve=_RESERVE) > 0
    )
    for variant, item in found.items():
        item.log(variant=variant)
    failures = [item.failure for item in found.values() if item.failure and not passes(item.failure)]
    if arrived is None and changed:  # messages are not to blame
        failures.append(changed)
    if failures:
        raise failures[-1]
    if arrived is None:
        return {variant: {"rows": item.rows, "evidence": item.most_evidence} for variant, item in found.items()}
    late = {key for variant in unmeasured for key in watch.late(variant, arrived.files[variant])}
    return arrived.unsettled({variant for variant, item in found.items() if item.unfinished or item.failure}, late)


def _references(
    state: RolloutState, variants: Collection[str] | None
) -> tuple[dict[str, Reference], list[str], DigestMismatch | None]:
    """The references that can be had of live variants, those without one, and the last package that was changed.

    Args:
        state: What is live.
        variants: Which are wanted; None for all.
    """
    found: dict[str, Reference] = {}
    unmeasured: list[str] = []
    failure: DigestMismatch | None = None
    for release in (state.champion, state.challenger):
        if release is None or (variants is not None and release.variant not in variants):
            continue
        try:
            found[release.variant] = _reference(release)
        except (DigestMismatch, ValueError, *PASSING) as error:
            if isinstance(error, PASSING) and not (gone(error) or passes(error)):
                raise
            log("reference not read", variant=release.variant, error=str(error))
            unmeasured.append(release.variant)
            failure = error if isinstance(error, DigestMismatch) else failure
    return found, unmeasured, failure


_clients = lru_cache(clients)


@lru_cache(maxsize=4)
def _reference(release: Release) -> Reference:
    """What a release was trained on, read once.

    Raises:
        DigestMismatch: The package is not the one that was sealed.
        UnreadableProfile: Its `reference.json` is missing or has another form.
    """
    found = member(_clients(), release, REFERENCE)
    return Reference.from_dict(json.loads(found) if found else None)
