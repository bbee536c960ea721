"""What each page shows, read from the cloud at the moment it is asked for."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from markdown_it import MarkdownIt
from markupsafe import Markup

from cli.console import chart
from cli.console.definition import Widget, widgets
from cli.errors import OperatorError, explained
from cli.measured import Series, curves
from cli.retrain import doing, look
from cli.target import Target
from cli.view import alarms, packages
from cli.view.packages import PackageView
from cli.view.releases import journal_state
from cli.view.snapshot import Snapshot, moment
from cli.view.watching import Looks

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
            "trained": [(moment(entry.at), entry) for entry in reversed(retraining.record.history)],
        }

    def dashboard(self, hours: float) -> dict[str, Any]:
        """The stack's dashboard, as CloudWatch has it, with the last hours' data."""
        with explained(f"reading dashboard {self._dashboard_name}"):
            body = self.target.client("cloudwatch").get_dashboard(DashboardName=self._dashboard_name)["DashboardBody"]
        seen = self._looks()
        span = chart.Span(self._clock() - 3600 * hours, self._clock())
        marks = [
            chart.Mark(datetime.fromisoformat(item.at).timestamp(), f"{item.at[11:19]} {item.text}")
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
        """Every alarm of the stack as DescribeAlarms tells it, those that ring first, then the composite ones.

        Each with its description, its reason with value and threshold, and the last changes of its state.
        """
        listed = alarms.read(self.target)
        listed.sort(key=lambda item: (item["StateValue"] != "ALARM", "AlarmRule" not in item, item["AlarmName"]))
        with explained("reading the history of the alarms"), ThreadPoolExecutor(_AT_ONCE) as pool:
            changes = list(pool.map(self._changes, [item["AlarmName"] for item in listed]))
        told = [(alarms.description_of(item), alarms.reason_of(item).brief) for item in listed]
        return {"alarms": [(item, *each, past) for item, each, past in zip(listed, told, changes, strict=True)]}

    def registry(self) -> dict[str, Any]:
        """The packages of the stack's group as DescribeModelPackage tells them, the newest first.

        Each with its role (`champion`, `challenger`, `previous`, or empty), what it was made of, and its metrics.
        """
        state = journal_state(self.target)
        roles = {
            release.model_package_arn: name
            for name in ("previous", "challenger", "champion")
            if (release := getattr(state, name)) is not None
        }
        found = packages.read(self.target, _VERSIONS)
        versions = [
            (item, roles.get(item["ModelPackageArn"], ""), packages.lineage(item), PackageView.of(item).metrics)
            for item in found
        ]
        return {"group": self.target.output("package_group"), "versions": versions}

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
            found = curves(self.target, widget.queries, shown.start, shown.end)
        except OperatorError as error:
            return Drawn(widget, Markup(""), problem=str(error))
        picture = chart.graph(widget.title, found, shown, widget.period, lines=widget.lines, marks=marks)
        return Drawn(widget, picture, tuple(found))

    def _changes(self, name: str) -> list[dict[str, Any]]:
        return self.target.client("cloudwatch").describe_alarm_history(
            AlarmName=name, HistoryItemType="StateUpdate", MaxRecords=_CHANGES, ScanBy="TimestampDescending"
        )["AlarmHistoryItems"]
