"""What a dashboard shows of an endpoint: the one home of its words, on CloudWatch and on Grafana alike."""

from __future__ import annotations

from dataclasses import dataclass

from monitoring.published import NEW_CODES, OUT_OF_RANGE, SCHEMA


@dataclass(frozen=True)
class Panel:
    """A graph: its title, and the unit of its axis."""

    title: str
    unit: str


REQUESTS = Panel("Requests", "requests")
SHARES = Panel("Share of traffic", "% of requests")
HAPPENED = Panel("What happened to releases", "events")
LATENCY = Panel("Model latency", "ms")
ERRORS = Panel("Errors", "answers")
DRIFT = Panel("Drift: evidence that requests differ from training", "evidence")
DISTANCE = Panel("Drift: distance from training, by feature", "distance")
ROWS = Panel("Rows unlike training's", "rows")
MISSING = Panel("Values that are missing", "rows")
CONCEPT = Panel("Evidence that the concept has moved", "evidence")
SEGMENTS = Panel("Error by segment, by the newest labels", "error")
UNUSABLE = Panel("Labels and answers that could not be used, by what is wrong", "labels or answers")
INVALID = Panel("Answers that break the contract", "answers")
LATE = Panel("How late captures and labels are counted", "seconds")

UNUSUAL = (OUT_OF_RANGE, NEW_CODES, SCHEMA)
"""What is counted of rows that are unlike training's."""
MEASURES = {
    "Accuracy": Panel("Accuracy by the newest labels", "share of answers"),
    "LogLoss": Panel("Log-loss by the newest labels", "nats"),
    "AbsoluteError": Panel("Absolute error by the newest labels", "the label's unit"),
    "AUC": Panel("AUC by the newest labels", "AUC"),
    "CalibrationError": Panel("Calibration error", "share of answers"),
}
"""How right answers were, by the name of the measure; each is shown with its interval."""
ESTIMATED = Panel("Accuracy, estimated before labels come", "share of answers")


def with_interval(panel: Panel) -> str:
    """The title of a measure that is shown with its interval."""
    return f"{panel.title}, with its interval"


def budget(window_seconds: float) -> str:
    """The title of what is left of the error budgets."""
    return f"Error budget left, % of {window_seconds / 86400:g} days"
