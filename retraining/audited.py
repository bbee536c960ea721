"""What of a retraining goes into the audit record: every event of its history, told by its fields."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from audit.record import Entry as Recorded
from audit.record import RecordKind
from retraining.record import Entry


def entry(event: Entry) -> Recorded:
    """What is recorded of an event. An event may be told twice: by its id it is recorded once."""
    told: dict[str, Any] = {name: item for name, item in asdict(event).items() if item not in ("", None, {})}
    what = {**told, "event": event.kind}
    del what["at"], what["kind"]
    return Recorded(event.at, RecordKind.RETRAINING, what, f"{event.at}/{event.kind}/{event.job}/{event.release}")
