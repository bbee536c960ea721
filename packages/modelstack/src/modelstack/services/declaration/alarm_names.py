"""The names of alarms, the same on every platform: `alarm_name("flight-delay-prod", "v-3f2a", FAILS)`."""

from __future__ import annotations

import re
from typing import Literal

FAILS, SLOW, DRIFT, CONCEPT = "5xx", "p99", "drift", "concept"
"""The measures of a variant's alarms."""
BURN, ADVANCE, PROBE, SILENT, FAILING = "burn", "advance", "probe", "silent", "failing"
"""Parts of the other alarms' names; those on the objective begin with
`modelstack.monitoring.objectives.slo.OBJECTIVE`.
"""
METRIC = "metric-"
"""The measure of an alarm on a metric of the project's own is this and the metric's name."""
_OWN = re.compile(rf"-v-[^-]+-({METRIC}\w+)$")
LATE_MINUTES = 15
"""Captures and labels that wait longer are late."""

Role = Literal["rollback", "retrain", "people"]
"""What an alarm may start: a rollback, a retraining, or neither. All notify people."""
ROLLBACK, RETRAIN = (FAILS, SLOW), (DRIFT, CONCEPT)
"""The measures of the alarms that can roll a release back, and of those that can start a retraining."""


def role(measure: str) -> Role:
    """What the alarm on a measure may start."""
    return "rollback" if measure in ROLLBACK else "retrain" if measure in RETRAIN else "people"


def answer_alarms(endpoint: str, variant: str) -> tuple[str, ...]:
    """The alarms on a variant's responses."""
    return tuple(alarm_name(endpoint, variant, measure) for measure in ROLLBACK)


def alarm_name(endpoint: str, subject: str, measure: str) -> str:
    """The alarm on one measure of a variant, a function or all of them, the probe, or the objective (slo, burn)."""
    return f"{endpoint}-{subject}-{measure}"


def measure_of(name: str) -> str:
    """The measure in the name of an alarm."""
    own = _OWN.search(name)
    return own[1] if own else name.rpartition("-")[2]
