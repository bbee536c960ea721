"""What each page shows, read from the cloud at the moment it is asked for."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

from markdown_it import MarkdownIt
from markupsafe import Markup

from cli.console import chart
from cli.console.definition import Widget, widgets
from cli.console.series import Series, fetch
from cli.errors import OperatorError, explained
from cli.retrain import doing, look
from cli.target import Target
from cli.view import alarms
from cli.view.releases import journal_state
from cli.view.snapshot import Snapshot
from cli.view.watching import Looks
from rollout.core.state import RolloutState

HOURS = {0.25: "15 min", 1.0: "1 h", 3.0: "3 h", 12.0: "12 h", 24.0: "1 d", 168.0: "7 d"}
_AT_ONCE = 4  # requests to AWS
_CHANGES = 12  # of one alarm
_VERSIONS = 50
_TELLING = frozenset(
    {"promoted", "rolled_back", "failed", "withdrawn", "superseded", "held", "weights", "left_to_judge"}
)


@dataclass(frozen=True)
class Drawn:
    """A widget as it is shown: what was drawn of it, or why it could not be."""

    widget: Widget
    picture: Markup
    curves: tuple[Series, ...] = ()
    problem: str = ""


@dataclass(frozen=True)
class Change:
    """One change of an alarm's state; `at` is UTC, ISO 8601."""

    at: str
    text: str


@dataclass(frozen=True)
class Alarm:
    """An alarm with its history, the newest first.

    Attributes:
        name: Its name.
        state: `OK`, `ALARM` or `INSUFFICIENT_DATA`.
        severity: `page` or `ticket`; empty when its description does not say.
        since: When it came to be so, UTC, ISO 8601.
        reason: Why, with value and threshold.
        description: What it means.
        runbook: Where it is said what to do; empty when the description has none.
        composite: Whether it follows other alarms.
        missing: What it makes of missing data.
        changes: The last changes of its state.
    """

    name: str
    state: str
    severity: str
    since: str
    reason: str
    description: str
    runbook: str
    composite: bool
    missing: str
    changes: tuple[Change, ...]


@dataclass(frozen=True)
class Version:
    """A package in the registry, with where it came from.

    Attributes:
        number: Its version in the group.
        role: `champion`, `challenger`, `previous`, or empty.
        approval: Its approval status.
        why: Why it has this status; empty when nobody said.
        created: UTC, ISO 8601.
        image: What serves it.
        archive: Where its archive is.
        lineage: What it was made of: recipe, digests, and whatever else its making wrote down.
        metrics: How it did in the evaluation.
    """

    number: int
    role: str
    approval: str
    why: str
    created: str
    image: str
    archive: str
    lineage: Mapping[str, str]
    metrics: Mapping[str, str]


class Pages:
    """The pages of one stack.

    Attributes:
        target: Whose.
    """

    def __init__(
        self, target: Target, looks: Callable[[], Snapshot] | None = None, clock: Callable[[], float] = time.time
    ):
        """Take whose endpoint it is; `looks` takes a look at its rollout."""
        self.target = target
        self._clock = clock
        self._looks = looks or Looks(target)

    def rollout(self) -> dict[str, Any]:
        """The endpoint, the trial under way with its evidence, what happened, and the retraining."""
        seen, retraining = self._looks(), look(self.target)
        return {
            "seen": seen,
            "events": tuple(reversed(seen.events)),
            "retraining": retraining,
            "doing": doing(retraining, self.target.commands),
            "trained": [(_moment(entry.at), entry) for entry in reversed(retraining.record.history)],
        }

    def dashboard(self, hours: float) -> dict[str, Any]:
        """The stack's dashboard, as CloudWatch has it, with the last hours' data."""
        with explained(f"reading dashboard {self._dashboard_name}"):
            body = self.target.client("cloudwatch").get_dashboard(DashboardName=self._dashboard_name)["DashboardBody"]
        seen = self._looks()
        span = chart.Span(self._clock() - 3600 * hours, self._clock())
        marks = [
            chart.Mark(_epoch(item.at), f"{item.at[11:19]} {item.text}")
            for item in seen.events
            if item.kind in _TELLING
        ]
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            drawn = list(pool.map(partial(self._draw, span=span, marks=marks), widgets(body)))
        return {
            "widgets": drawn,
            "hours": hours,
            "choices": HOURS,
            "style": chart.style,
            "short": chart.short,
            "seen": seen,
        }

    def alarms(self) -> dict[str, Any]:
        """Every alarm of the stack, those that ring first, with its history."""
        listed = alarms.read(self.target)
        with explained("reading the history of the alarms"), ThreadPoolExecutor(_AT_ONCE) as pool:
            changes = pool.map(self._changes, [item["AlarmName"] for item in listed])
            found = [_alarm(*each) for each in zip(listed, changes, strict=True)]
        return {"alarms": sorted(found, key=lambda item: (item.state != "ALARM", not item.composite, item.name))}

    def registry(self) -> dict[str, Any]:
        """The packages of the stack's group, the newest first, with their lineage."""
        sagemaker, group = self.target.client("sagemaker"), self.target.output("package_group")
        state = journal_state(self.target)
        with explained(f"reading the package group {group}"):
            listed = sagemaker.list_model_packages(
                ModelPackageGroupName=group, SortBy="CreationTime", SortOrder="Descending", MaxResults=_VERSIONS
            )["ModelPackageSummaryList"]
            found = [sagemaker.describe_model_package(ModelPackageName=item["ModelPackageArn"]) for item in listed]
        return {"group": group, "versions": [_version(item, state) for item in found]}

    @property
    def _dashboard_name(self) -> str:
        return str(self.target.outputs.get("dashboard_url") or self.target.endpoint).rpartition("/")[2]

    def _draw(self, widget: Widget, span: chart.Span, marks: Sequence[chart.Mark]) -> Drawn:
        if widget.kind == "text":
            rendered = MarkdownIt("commonmark", {"html": False}).render(widget.text)
            return Drawn(widget, Markup(rendered))  # noqa: S704 - without html, the renderer escapes all that it is given
        if widget.kind != "metric":
            return Drawn(
                widget,
                Markup(""),
                problem="" if widget.kind == "alarm" else f"a {widget.kind} widget is not drawn here",
            )
        try:
            shown = span if widget.seconds is None else chart.Span(span.end - widget.seconds, span.end)
            curves = fetch(self.target, widget.queries, shown.start, shown.end)
        except OperatorError as error:
            return Drawn(widget, Markup(""), problem=str(error))
        picture = chart.graph(widget.title, curves, shown, widget.period, lines=widget.lines, marks=marks)
        return Drawn(widget, picture, tuple(curves))

    def _changes(self, name: str) -> tuple[Change, ...]:
        items = self.target.client("cloudwatch").describe_alarm_history(
            AlarmName=name, HistoryItemType="StateUpdate", MaxRecords=_CHANGES, ScanBy="TimestampDescending"
        )["AlarmHistoryItems"]
        return tuple(Change(item["Timestamp"].isoformat(timespec="seconds"), item["HistorySummary"]) for item in items)


def _moment(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")


def _epoch(moment: str) -> float:
    return datetime.fromisoformat(moment).timestamp()


def _alarm(item: Mapping[str, Any], changes: tuple[Change, ...]) -> Alarm:
    description = alarms.description_of(item)
    return Alarm(
        name=item["AlarmName"],
        state=item["StateValue"],
        severity=description.severity,
        since=item["StateUpdatedTimestamp"].isoformat(timespec="seconds"),
        reason=alarms.reason_of(item).brief,
        description=description.text,
        runbook=description.runbook,
        composite="AlarmRule" in item,
        missing=item.get("TreatMissingData", ""),
        changes=changes,
    )


def _version(item: Mapping[str, Any], state: RolloutState) -> Version:
    (container,) = item["InferenceSpecification"]["Containers"]
    known = item.get("CustomerMetadataProperties", {})
    roles = {"champion": state.champion, "challenger": state.challenger, "previous": state.previous}
    arn = item["ModelPackageArn"]
    return Version(
        number=item["ModelPackageVersion"],
        role=next((name for name, release in roles.items() if release and release.model_package_arn == arn), ""),
        approval=item["ModelApprovalStatus"],
        why=item.get("ApprovalDescription", ""),
        created=item["CreationTime"].isoformat(timespec="seconds"),
        image=container["Image"],
        archive=container.get("ModelDataUrl") or "",
        lineage={name: value for name, value in sorted(known.items()) if not name.startswith("metric.")},
        metrics={
            name.removeprefix("metric."): value for name, value in sorted(known.items()) if name.startswith("metric.")
        },
    )
