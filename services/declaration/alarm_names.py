"""How alarms are called, the same on every platform: `alarm_name("flight-delay-prod", "v-3f2a", FAILS)`."""

from __future__ import annotations

FAILS, SLOW, DRIFT, CONCEPT = "5xx", "p99", "drift", "concept"
"""What the alarms of a variant are on."""
BURN, PROBE, SILENT, FAILING = "burn", "probe", "silent", "failing"
"""Parts of the other alarms' names; those on the objective begin with `monitoring.objectives.slo.OBJECTIVE`."""


def answer_alarms(endpoint: str, variant: str) -> tuple[str, ...]:
    """The alarms on how a variant answers; drift is the requests' own, whatever answers them."""
    return tuple(alarm_name(endpoint, variant, measure) for measure in (FAILS, SLOW))


def alarm_name(endpoint: str, subject: str, measure: str) -> str:
    """The alarm on one measure of a variant, a function or all of them, the probe, or the objective (slo, burn)."""
    return f"{endpoint}-{subject}-{measure}"
