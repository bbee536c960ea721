"""Measures how far captured requests have moved from the training data: a scheduled run."""

from __future__ import annotations

import time
from functools import lru_cache
from typing import Any

from monitoring.aws import CloudWatchMetrics, DigestMismatch, DynamoRecord, References, S3Captures
from monitoring.drift import Reference
from monitoring.log import log
from monitoring.settings import Context, Settings
from monitoring.watch import DriftWatch
from rollout import RolloutState
from rollout.sagemaker import DynamoJournal, clients

_SETTLED = 10.0  # seconds after which a captured file is read


def handler(event: object, context: Context | None) -> dict[str, Any]:
    """Measure every live variant; raises at the end when one has no readable reference."""
    settings, now = Settings.from_environment(), time.time()
    state = DynamoJournal(_clients(), settings.journal, settings.endpoint).read()
    references, failure = _references(state)
    watch = DriftWatch(
        captures=S3Captures(_clients(), settings.bucket, settings.endpoint, before=now - _SETTLED),
        record=DynamoRecord(_clients(), settings.journal, settings.endpoint),
        metrics=CloudWatchMetrics(_clients(), settings.endpoint),
        min_rows=settings.min_rows,
    )
    found = watch.measure(references, now)
    for variant, item in found.items():
        psi, worst = max(((value, name) for name, value in (item.drift or {}).items()), default=(None, None))
        log(
            "drift",
            variant=variant,
            rows=item.rows,
            unreadable=item.unreadable,
            waiting=item.waiting,
            psi=psi,
            worst=worst,
        )
    if failure:
        raise failure
    return {variant: {"rows": item.rows, "drift": item.drift} for variant, item in found.items()}


def _references(state: RolloutState) -> tuple[dict[str, Reference], Exception | None]:
    found: dict[str, Reference] = {}
    failure: Exception | None = None
    for release in (state.champion, state.challenger):
        if release is not None:
            try:
                found[release.variant] = _cache().of(release)
            except (DigestMismatch, ValueError, OSError) as error:
                log("reference not read", variant=release.variant, error=str(error))
                failure = error
    return found, failure


_clients = lru_cache(clients)


@lru_cache
def _cache() -> References:
    return References(_clients())
