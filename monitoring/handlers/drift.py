"""Measures how far captured requests have moved from the training data: a scheduled run."""

from __future__ import annotations

import time
from functools import lru_cache
from tarfile import TarError
from typing import Any

from monitoring.aws import CloudWatchMetrics, DigestMismatch, DynamoRecord, References, S3Captures
from monitoring.log import log
from monitoring.reference import Reference
from monitoring.settings import Context, Settings, seconds_left
from monitoring.transient import PASSING, gone, passes
from monitoring.watch import DriftWatch, Measured
from rollout import RolloutState
from rollout.aws import clients
from rollout.dynamo import DynamoJournal

_SETTLED = 10.0  # seconds after which a captured file is read
_RESERVE = 60.0  # seconds that reading some more files may take


def handler(event: object, context: Context | None) -> dict[str, Any]:
    """Measure every live variant.

    What passes by itself (a service that does not answer, a capture that has gone) is logged and left to the next call:
    nothing is counted twice, and nothing is lost. A variant whose reference cannot be had is logged and counted as
    `DriftUnmeasured`.

    Raises:
        DigestMismatch: At the end, when an archive is not the one that was registered.
    """
    settings, now = Settings.from_environment(), time.time()
    try:
        return _measure(settings, now, context)
    except PASSING as error:
        if not passes(error):
            raise
        log("drift not measured now; the next call goes on", error=str(error))
        return {}


def _measure(settings: Settings, now: float, context: Context | None) -> dict[str, Any]:
    state = DynamoJournal(_clients(), settings.journal, settings.endpoint).read()
    references, unmeasured, failure = _references(state)
    watch = DriftWatch(
        captures=S3Captures(_clients(), settings.bucket, settings.endpoint, before=now - _SETTLED),
        record=DynamoRecord(_clients(), settings.journal, settings.endpoint),
        metrics=CloudWatchMetrics(_clients(), settings.endpoint),
        false_alarms=settings.false_alarms,
        every=settings.drift_every,
    )
    found = watch.measure(references, now, unmeasured, lambda: seconds_left(context, most=1, reserve=_RESERVE) > 0)
    for variant, item in found.items():
        _tell(variant, item)
    if failure:
        raise failure
    return {variant: {"rows": item.rows, "evidence": item.most_evidence} for variant, item in found.items()}


def _tell(variant: str, found: Measured) -> None:
    worst = max(found.evidence.items(), key=lambda item: item[1], default=(None, None))
    log(
        "drift",
        variant=variant,
        rows=found.rows,
        unreadable=found.unreadable,
        blocks=[{"rows": one.rows, "evidence": one.evidence, "drifted": one.drifted} for one in found.findings],
        judged=found.judged,
        waiting=found.waiting,
        evidence=found.most_evidence,
        worst=worst[0],
        problems=[vars(problem) for problem in found.problems],
        forgotten=found.forgotten,
    )


def _references(state: RolloutState) -> tuple[dict[str, Reference], list[str], DigestMismatch | None]:
    """The references that can be had, the variants without one, and the last archive that was changed."""
    found: dict[str, Reference] = {}
    unmeasured: list[str] = []
    failure: DigestMismatch | None = None
    for release in (state.champion, state.challenger):
        if release is None:
            continue
        try:
            found[release.variant] = _cache().of(release)
        except (DigestMismatch, ValueError, OSError, EOFError, TarError, *PASSING) as error:
            if isinstance(error, PASSING) and not (gone(error) or passes(error)):
                raise
            log("reference not read", variant=release.variant, error=str(error))
            unmeasured.append(release.variant)
            failure = error if isinstance(error, DigestMismatch) else failure
    return found, unmeasured, failure


_clients = lru_cache(clients)


@lru_cache
def _cache() -> References:
    return References(_clients())
