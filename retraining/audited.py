"""The audit entries of a retraining's events."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from audit.record import Entry as Recorded
from audit.record import RecordKind
from retraining.record import RetrainingEvent


def entry(event: RetrainingEvent) -> Recorded:
    """The audit entry of an event. Its id prevents that an event reported twice is recorded twice."""
    told: dict[str, Any] = {name: item for name, item in asdict(event).items() if item not in ("", None, {})}
    what = {**told, "event": event.kind}
    del what["at"], what["kind"]
    return Recorded(event.at, RecordKind.RETRAINING, what, f"{event.at}/{event.kind}/{event.job}/{event.release}")
