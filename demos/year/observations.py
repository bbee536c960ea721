"""What happened to the endpoint meanwhile? Alarms are read from their history, all else as it happens."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

from demos.year.clock import Clock
from demos.year.facts import Alarm, Retraining, Rollout
from demos.year.plan import Doing
from modelstack.cli.console.figure import Span
from modelstack.cli.errors import explained
from modelstack.cli.platform.aws.measured import curves, metric
from modelstack.cli.retrain import look
from modelstack.cli.target import Target
from modelstack.cli.view.releases import journal_state
from modelstack.monitoring.published import CONCEPT_EVIDENCE, DRIFT_EVIDENCE
from modelstack.monitoring.retraining.record import Candidate, Phase, RetrainingEvent
from modelstack.rollout.core.catalogue import OWN
from modelstack.rollout.core.verdict import Verdict
from modelstack.services.declaration.alarm_names import CONCEPT, DRIFT

_EVIDENCE = {DRIFT: DRIFT_EVIDENCE, CONCEPT: CONCEPT_EVIDENCE}
MEASURES = tuple(_EVIDENCE)
_ENDS = frozenset({"candidate", "kept", "failed", "stopped"})
_PERIOD_S = 10


@dataclass(frozen=True)
class Now:
    """What is, at one look.

    Attributes:
        candidate: What the next `pulumi up` would put on trial; None when there is nothing.
        doing: What is under way.
    """

    candidate: Candidate | None = None
    doing: Doing = ""


@dataclass
class Seen:
    """All that was seen, by whoever looks often enough: the record and the journal each keep the newest events only."""

    target: Target
    entries: dict[tuple[float, str], RetrainingEvent] = field(default_factory=dict)
    candidates: dict[str, Candidate] = field(default_factory=dict)
    verdicts: dict[str, Verdict] = field(default_factory=dict)
    begun: dict[str, tuple[str, float]] = field(default_factory=dict)
    variants: dict[str, None] = field(default_factory=dict)

    def look(self) -> Now:
        """Look once.

        Raises:
            OperatorError: The table does not answer.
        """
        state, retraining = journal_state(self.target), look(self.target)
        record = retraining.record
        self.entries |= {(one.at, one.kind): one for one in record.history}
        self.candidates |= {one.through: one for one in record.accepted}
        if state.verdict is not None:
            self.verdicts[state.verdict.rollout_id] = state.verdict
        if state.challenger is not None:
            self.begun.setdefault(state.rollout_id, (state.challenger.id, state.started_at))
        self.variants |= dict.fromkeys(state.weights)
        on_trial: Doing = "" if state.at_rest else "trial"
        return Now(retraining.waits, "training" if record.phase is Phase.TRAINING else on_trial)

    def retrainings(self, clock: Clock) -> list[Retraining]:
        """Each training job, in order."""
        entries = sorted(self.entries.values(), key=lambda one: one.at)
        starts = [place for place, entry in enumerate(entries) if entry.kind == "started"]
        return [
            self._retraining(entries[start], next((e for e in entries[start:end] if e.kind in _ENDS), None), clock)
            for start, end in pairwise([*starts, len(entries)])
        ]

    def _retraining(self, begun: RetrainingEvent, ended: RetrainingEvent | None, clock: Clock) -> Retraining:
        candidate = self.candidates.get(begun.day) if ended and ended.kind == "candidate" else None
        release = candidate.release if candidate else ""
        asked = begun.trigger
        verdicts = [one.outcome for one in self.verdicts.values() if one.release == release]
        return Retraining(
            began=clock.at(begun.at),
            ended=clock.at(ended.at) if ended else None,
            through=begun.day,
            why=begun.why,
            outcome=ended.kind if ended else "",
            text=ended.why if ended else "",
            numbers=ended.numbers if ended else {},
            release=release,
            verdict=verdicts[-1] if verdicts else "",
            asked=f"{asked.variant}-{asked.kind}" if asked and asked.variant else "",
        )

    def rollouts(self, clock: Clock) -> list[Rollout]:
        """Each release that had a champion beside it, in order."""
        found: list[Rollout] = []
        for rollout_id, (release, at) in self.begun.items():
            verdict = self.verdicts.get(rollout_id)
            ended = clock.at(verdict.at) if verdict else None
            outcome, text = (verdict.outcome, verdict.reason.text) if verdict else ("", "")
            found.append(Rollout(release, clock.at(at), ended, outcome, text))
        return found


def alarms(target: Target, since: float, clock: Clock) -> list[Alarm]:
    """Each time that an alarm of the endpoint fired from `since` (epoch seconds) on, in order.

    Raises:
        OperatorError: CloudWatch does not answer.
    """
    with explained("reading the history of the alarms"):
        pages = target.client("cloudwatch").get_paginator("describe_alarm_history")
        asked = pages.paginate(
            HistoryItemType="StateUpdate",
            StartDate=datetime.fromtimestamp(since, UTC),
            ScanBy="TimestampAscending",
            AlarmTypes=["MetricAlarm"],
        )
        items = [item for page in asked for item in page["AlarmHistoryItems"]]
    return list(fired(items, f"{target.endpoint}-", clock))


def fired(items: Iterable[Mapping[str, Any]], prefix: str, clock: Clock) -> Iterator[Alarm]:
    """When alarms fired, by the history of their states, oldest first.

    Args:
        items: Of DescribeAlarmHistory.
        prefix: How the names of this endpoint's alarms begin.
        clock: Tells the times of the data.
    """
    began: dict[str, float] = {}
    found: list[Alarm] = []
    for item in items:
        name, at = str(item["AlarmName"]), item["Timestamp"].timestamp()
        if not name.startswith(prefix):
            continue
        if json.loads(item["HistoryData"])["newState"]["stateValue"] == "ALARM":
            began.setdefault(name, at)
        elif name in began:
            found.append(_alarm(name.removeprefix(prefix), began.pop(name), at, clock))
    found += [_alarm(name.removeprefix(prefix), at, None, clock) for name, at in began.items()]
    yield from sorted(found, key=lambda one: one.began)


def _alarm(name: str, began: float, ended: float | None, clock: Clock) -> Alarm:
    variant, _, kind = name[2:].partition("-") if name.startswith("v-") else ("", "", name)
    until = None if ended is None else clock.at(ended)
    return Alarm(kind, f"v-{variant}" if variant else "", clock.at(began), until)


def evidence(target: Target, variants: Iterable[str], span: Span, clock: Clock) -> dict[str, Any]:
    """What was measured of drift and concept, the highest of all variants at a time: measure -> points.

    Raises:
        OperatorError: CloudWatch does not answer.
    """
    found: dict[str, Any] = {}
    for measure, name in _EVIDENCE.items():
        highest: dict[float, float] = {}
        for variant in variants:
            for at, value in _points(target, name, "Maximum", variant, span):
                highest[at] = max(value, highest.get(at, value))
        found[measure] = [(clock.at(at), value) for at, value in sorted(highest.items())]
    return found


def joined(target: Target, variants: Iterable[str], span: Span) -> int:
    """How many pairs of answer and label the stack's metrics count.

    Raises:
        OperatorError: CloudWatch does not answer.
    """
    points = (_points(target, "LogLoss", "SampleCount", variant, span) for variant in variants)
    return round(sum(value for some in points for _, value in some))


def _points(target: Target, name: str, stat: str, variant: str, span: Span) -> Iterator[tuple[float, float]]:
    of = {"Metric": metric(target, OWN, name, variant), "Period": _PERIOD_S, "Stat": stat}
    for series in curves(target, [{"Id": "one", "MetricStat": of}], span.start, span.end):
        yield from series.points
