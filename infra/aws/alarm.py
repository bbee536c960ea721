"""What every alarm says to who is told: how urgent it is, what has happened, and which page of the runbook helps."""

from __future__ import annotations

from typing import Any

from monitoring.objectives.slo import Severity
from platforms.aws.descriptions import Description

RUNBOOK = "docs/how-to/runbook.md"
MEANINGS = "what-each-alarm-means"


def told(text: str, severity: Severity, section: str = MEANINGS) -> dict[str, Any]:
    """The description and the tags of an alarm, as arguments of its resource.

    Args:
        text: What has happened, in sentences.
        severity: How urgent it is: `page` wakes somebody, `ticket` waits for the day.
        section: The anchor of the section of the runbook that says what to do.
    """
    return {
        "alarm_description": str(Description(severity, text, f"{RUNBOOK}#{section}")),
        "tags": {"severity": severity},
    }
