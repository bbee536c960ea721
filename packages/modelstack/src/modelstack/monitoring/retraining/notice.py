"""Notifications of a retraining's events."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from modelstack.monitoring.retraining.record import RetrainingEvent
from modelstack.rollout.controller.commands import Commands
from modelstack.rollout.controller.notice import subject_of

_THEN: Mapping[str, tuple[str, ...]] = {
    "asked": (
        '`{modelstack} retrain approve --reason "..."` lets it begin',
        '`{modelstack} retrain decline --reason "..."` refuses it; the next may be asked after the cool-down',
    ),
    "candidate": ("`{pulumi_up}` puts it on trial beside the champion",),
    "started": ("`{modelstack} retrain` shows what has become of it",),
    "failed": (
        "the reason stands in the training job's log",
        '`{modelstack} retrain start --reason "..."` begins anew',
    ),
}


def message(entry: RetrainingEvent, endpoint: str, commands: Commands) -> dict[str, Any]:
    """An event as the arguments of SNS's Publish, without the topic."""
    then = [line.format(**asdict(commands)) for line in _THEN.get(entry.kind, ())]
    text = "\n".join([f"{endpoint}: {entry.text}", "", *(f"- {line}" for line in then)]).rstrip()
    document = json.dumps({"endpoint": endpoint, "event": entry.as_dict(), "next": then}, sort_keys=True)
    return {
        "Subject": subject_of(f"{endpoint}: {entry.what}"),
        "Message": json.dumps({"default": text, "email": text, "sqs": document, "lambda": document}),
        "MessageStructure": "json",
        "MessageAttributes": {
            name: {"DataType": "String", "StringValue": value}
            for name, value in (("endpoint", endpoint), ("kind", f"retraining_{entry.kind}"))
        },
    }
