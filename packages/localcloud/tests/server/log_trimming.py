"""Run by the local cloud's Python: what housekeeping leaves of logs, as JSON."""

import json
import os
import tempfile

os.environ.update(PERSIST_STATE="1", STATE_DIR=tempfile.mkdtemp())

from ministack.core import persistence
from ministack.services import cloudwatch_logs as logs

from localcloud.server import repairs

NOW = 1_000_000_000.0


def event(age_days: float) -> dict:
    moment = int((NOW - age_days * 86_400) * 1000)
    return {"timestamp": moment, "ingestionTime": moment, "message": f"{age_days}"}


def group(retention: int | None, streams: dict[str, list[dict]]) -> dict:
    made = {
        name: {"events": events, "creationTime": number, "lastEventTimestamp": None}
        for number, (name, events) in enumerate(streams.items())
    }
    return {"retentionInDays": retention, "streams": made}


groups = {
    "expiring": group(7, {"s": [event(9), event(8), event(6), event(0)]}),
    "keeping": group(None, {"s": [event(900)]}),
    "long": group(None, {"s": [event(1)] * 5_001}),
    "many": group(None, {f"{n:03}": [event(1)] for n in range(302)}),
}
for name, made in groups.items():
    logs._log_groups[name] = made


def saved() -> str:
    return json.dumps(logs.get_state(), default=persistence._json_default, sort_keys=True)


before = saved()
repairs.copy_logs_lightly()
same = saved() == before
dropped = [repairs.trim_logs(NOW), repairs.trim_logs(NOW)]
counts = {name: [len(stream["events"]) for stream in made["streams"].values()] for name, made in groups.items()}
print(
    json.dumps(
        {
            "copy_is_the_same": same,
            "dropped": dropped,
            "expiring": counts["expiring"],
            "keeping": counts["keeping"],
            "long": counts["long"],
            "many": [len(counts["many"]), min(groups["many"]["streams"])],
        }
    )
)
