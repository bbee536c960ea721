"""The text of `modelstack status`."""

from __future__ import annotations

import math
from collections.abc import Container, Iterable, Iterator, Mapping
from typing import Any

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.table import Table
from rich.text import Text

from modelstack.cli.platform.facts import QUANTILES, AlarmView, PackageView, QualityView, ServedView
from modelstack.cli.view.budget import BudgetView
from modelstack.cli.view.kept_aside import HOURS
from modelstack.cli.view.kept_aside import line as kept_aside
from modelstack.cli.view.situation import Situation
from modelstack.cli.view.snapshot import Snapshot, VariantView
from modelstack.cli.view.times import when
from modelstack.cli.view.trial import TrialView
from modelstack.monitoring.labels.reach import in_words
from modelstack.monitoring.published import ESTIMATED, REALISED, SEGMENT_ERROR
from modelstack.rollout.controller.commands import Commands

_STATE_STYLE = {"OK": "green", "ALARM": "bold red", "INSUFFICIENT_DATA": "yellow"}
_APPROVAL_STYLE = {"Approved": "green", "Rejected": "red", "PendingManualApproval": "yellow"}
LINES = 25
"""The most lines of `modelstack status`."""
_ALARM = ("alarm", "state", "severity")
_BAR = 20
_FIRST = ("log_loss", "auc", "accuracy", "rmse", "mae")  # of many metrics these are shown first; --json has all
_SEGMENTS = 5  # the worst ones are shown; --json has all
_TELLING = 0.01  # of the evidence that fires the alarm: below, the time of a change is a guess
_LATE_S = 60.0  # a normal delay: a file is processed some seconds after it was written
_PLACES = 3  # metrics that have a place in the table


class Brief:
    """The output of `modelstack status`: the situation, then a line for each subject, the urgent ones first."""

    def __init__(self, seen: Snapshot, found: Situation) -> None:
        self._seen, self._found = seen, found

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        lines = [line for text in situation(self._found) for line in text.wrap(console, options.max_width)]
        lines.append(_headline(self._seen))
        room = LINES - len(lines) - 1
        for line in (
            *lines,
            *_rows(self._seen)[:room],
            Text(f"More: `{self._seen.commands.modelstack} status --all`", "dim"),
        ):
            line.no_wrap, line.overflow = True, "ellipsis"
            yield line


def situation(found: Situation) -> list[Text]:
    """What is wrong, since when, what was done, and what to do."""
    style = {"wrong": "bold red", "unknown": "yellow", "well": "green"}[found.state]
    steps = [Text(f"Next: {step}", "bold") for step in found.next]
    runbook = [Text(f"Runbook: {found.runbook}")] if found.runbook else []
    return [Text(found.what, style), *map(Text, found.facts), *steps, *runbook]


def _rows(seen: Snapshot) -> list[Text]:
    hour = {row.variant: row for row in seen.served}
    none = "the requests are not known" if "served" in seen.unread else "no requests"
    rows = [_variant(row, hour.get(row.name), none) for row in seen.variants]
    states = [alarm.state for alarm in seen.alarms]
    firing, unknown = states.count("ALARM"), states.count("INSUFFICIENT_DATA")
    rows.append(Text.assemble(("alarms ", "dim"), f"{len(states)}: {firing} fire, {unknown} without data"))
    rows += _lines(seen)
    for row in seen.quality:
        if row.values:
            known = ", ".join(f"{name} {_range(row.values, f'{REALISED}{name}')}" for name in row.measures)
            rows.append(Text.assemble((f"quality of {row.variant} ", "dim"), f"{row.labels:,} labels: {known}"))
            rows.append(_concept(row))
        rows += _unsure(row, seen.at)
    if seen.packages:
        newest = seen.packages[0]
        told = f"version {newest.version}, release {newest.release}, {newest.approval}"
        rows.append(Text.assemble(("newest package ", "dim"), told))
    return rows


def _variant(row: VariantView, hour: ServedView | None, told: str) -> Text:
    share = f"copies {row.copies:.0f}%" if row.copies else f"{row.weight:.0f}%"
    if hour:
        slow = f", p99 {hour.latency_ms['p99']:.0f} ms" if "p99" in hour.latency_ms else ""
        told = f"{hour.requests:,} requests, {hour.failed:,} failed{slow}"
    instances = f"{row.instances} instance{'s' * (row.instances != 1)}"
    return Text.assemble((f"{row.role} ", "dim"), f"{row.name} {share}, {instances}; in the last hour {told}")


def snapshot(seen: Snapshot) -> RenderableType:
    """Everything about an endpoint, as `modelstack status --all` shows it below the situation."""
    parts: list[RenderableType] = [_headline(seen), variants(seen.variants)]
    if seen.served:
        parts.append(served(seen.served))
    if seen.trial:
        parts.append(_trial(seen.trial, seen.commands))
    for label, ended in (("last verdict ", seen.verdict), ("champion moved ", seen.moved)):
        if ended:
            parts.append(_ended(label, ended, seen.at))
    parts += _lines(seen)
    for row in seen.quality:
        parts += [*([quality(row)] if row.values else []), *_unsure(row, seen.at)]
    parts.append(alarms(seen.alarms, seen.endpoint))
    parts.append(packages(seen.packages, seen.at))
    return Group(*parts)


def _lines(seen: Snapshot) -> list[Text]:
    """What is one line each."""
    aside = kept_aside(seen.aside, in_cluster=bool(seen.namespace)) if seen.aside else ""
    late = delay(seen.delay_s)
    named = {"waits for people": seen.agreement, "restored": seen.restored, "retraining": seen.retraining}
    return [
        *(Text.assemble((f"{label} ", "dim"), told) for label, told in named.items() if told),
        *map(budget, seen.budgets),
        *([Text(late, "yellow")] if late else []),
        *([Text.assemble((f"kept aside in {HOURS} h ", "dim"), aside)] if aside else []),
    ]


def _trial(trial: TrialView, commands: Commands) -> Text:
    if trial.approval:
        return Text(f"{trial.waits_for}; type: {approve_line(commands)}", "bold yellow")
    step = f", step {trial.step} of {trial.steps}" if trial.step else ""
    return Text.assemble(("on trial ", "dim"), f"{trial.challenger}{step}: {trial.waits_for}")


def bar(share: float) -> str:
    """A share, 0 to 1, as a bar of 20 characters."""
    filled = round(min(max(share, 0.0), 1.0) * _BAR)
    return "█" * filled + "░" * (_BAR - filled)


def approve_line(commands: Commands) -> str:
    """The command that approves the next step."""
    return f'{commands.modelstack} approve --reason "..."'


def _headline(seen: Snapshot) -> Text:
    style = "green" if seen.status == "InService" else "yellow"
    return Text.assemble(
        ("endpoint ", "dim"), (seen.endpoint, "bold"), "  ", (seen.status, style),
        ("  rollout ", "dim"), seen.phase, ("  champion ", "dim"), seen.champion or "none",
        ("  challenger ", "dim"), seen.challenger or "none",
    )  # fmt: skip


def _table(title: str, *columns: str, right: Container[str] = (), no_wrap: Container[str] = ()) -> Table:
    table = Table(title=title, title_justify="left")
    for name in columns:
        table.add_column(name, justify="right" if name in right else "left", no_wrap=name in no_wrap)
    return table


def variants(rows: tuple[VariantView, ...]) -> Table:
    """Each variant with its share of traffic as a bar; an arrow while the share is changing."""
    table = _table("variants", "variant", "role", "traffic", "", "instances", right=("traffic",))
    for row in rows:
        moving = f" -> {row.desired:.0f}%" if abs(row.desired - row.weight) > 0.5 else ""
        share = f"copies {row.copies:.0f}%" if row.copies else f"{row.weight:.0f}%{moving}"
        table.add_row(row.name, row.role, share, bar((row.copies or row.weight) / 100), str(row.instances))
    return table


def served(rows: tuple[ServedView, ...]) -> Table:
    """Requests, availability and latency of each variant in the last hour."""
    numbers = ("requests", "available", "5XX", "4XX", *(f"{name} ms" for name in QUANTILES))
    table = _table("the last hour", "variant", *numbers, right=numbers, no_wrap=("variant", *numbers))
    for row in rows:
        latency = (f"{row.latency_ms[name]:.1f}" if name in row.latency_ms else "-" for name in QUANTILES)
        # Rounded down: 100% means that no request failed.
        available = f"{math.floor(1e4 * row.availability) / 100:g}%"
        failed = f"{row.failed:,}" + (f" ({row.unanswered:,} unanswered)" if row.unanswered else "")
        table.add_row(row.variant, f"{row.requests:,}", available, failed, f"{row.refused:,}", *latency)
    return table


def alarms(rows: tuple[AlarmView, ...], endpoint: str) -> RenderableType:
    """Each alarm with its state, without the endpoint's prefix; the reason while it fires."""
    if not rows:
        return Text("alarms: none", "dim")
    table = _table(f"alarms of {endpoint}", *_ALARM, no_wrap=_ALARM)
    table.add_column("reason", overflow="fold")
    for row in rows:
        reason = row.brief if row.state == "ALARM" else ""
        name = row.name.removeprefix(f"{endpoint}-")
        table.add_row(name, Text(row.state, _STATE_STYLE.get(row.state, "")), row.severity, reason)
    return table


def shown_metrics(metrics: Iterable[str]) -> list[str]:
    """The metrics that the table has columns for: the well-known first, then the model's own."""
    names = list(metrics)
    known = [name for name in _FIRST if name in names]
    return [*known, *(name for name in names if name not in known)][:_PLACES]


def packages(rows: tuple[PackageView, ...], now: str) -> RenderableType:
    """The newest package versions with approval and metrics."""
    if not rows:
        return Text("packages: none", "dim")
    table = _table("packages, newest first", "version", "release", "approval", "created", "metrics")
    for row in rows:
        metrics = "  ".join(f"{name} {row.metrics[name]}" for name in shown_metrics(row.metrics))
        table.add_row(
            str(row.version),
            row.release,
            Text(row.approval.removesuffix("ManualApproval"), _APPROVAL_STYLE.get(row.approval, "")),
            when(row.created, now),
            metrics,
        )
    return table


def budget(row: BudgetView) -> Text:
    """One error budget: the objective, what is left, and the counts of requests."""
    style = "green" if row.left > 0.5 else "yellow" if row.left > 0 else "bold red"
    left = f"{100 * row.left:.0f}%" if row.left >= 0 else f"{1 - row.left:.3g} times as much as there is"
    were = "failed" if row.sli == "availability" else "were slow"
    return Text.assemble(
        (f"{row.sli} ", "dim"), f"{100 * row.objective:.6g}% of {row.days:g} days: ",
        (left, style), f" of the error budget is {'left' if row.left >= 0 else 'used up'} ({row.bad:,.0f} of "
        f"{row.requests:,.0f} requests {were}, {row.tolerated:,.0f} might)",
    )  # fmt: skip


def delay(seconds: float) -> str:
    """The delay in processing captures and labels, in a sentence; empty when it is negligible."""
    if seconds < _LATE_S:
        return ""
    return f"captures and labels are counted {seconds / 60:.0f} minutes after they came: what follows is as old"


def quality(row: QualityView) -> RenderableType:
    """A variant's quality by labels, the estimates for the same and the newest answers, and its concept drift."""
    title = f"quality of {row.variant}, {row.labels:,} newest labels"
    table = _table(title, "measure", "by labels", "estimated for the same", "estimated for the newest")
    for name in row.measures:
        miss, realised = row.values.get(f"EstimateMiss{name}"), row.values.get(f"{REALISED}{name}")
        shown = "-" if miss is None or realised is None else f"{realised + miss:.3f}"
        table.add_row(name, _range(row.values, f"{REALISED}{name}"), shown, _range(row.values, f"{ESTIMATED}{name}"))
    for segment in row.worst_segments[:_SEGMENTS]:
        table.add_row(f"error of {segment}", _range(row.by_segment[segment], SEGMENT_ERROR), "", "")
    seen = [Text(in_words(row.reach), "dim")] if row.reach else []
    return Group(table, _concept(row), *seen)


def _unsure(row: QualityView, now: str) -> Iterator[Text]:
    """When labels came last, the project's own metrics, and why drift is not judged."""
    if row.labelled:
        yield Text.assemble(("newest labels ", "dim"), f"counted {when(row.labelled, now)}")
    for name, one in row.custom.items():
        yield _custom(f"{name} of {row.variant} ", one)
    if row.custom_problem:
        yield Text.assemble(("metrics of monitoring/ ", "dim"), (f"not computed: {row.custom_problem}", "yellow"))
    if row.drift:
        yield Text.assemble((f"drift of {row.variant} ", "dim"), (f"not judged: {row.drift}", "yellow"))


def _custom(label: str, one: Mapping[str, Any]) -> Text:
    """A metric of the project's own: its mean, and how often its function failed."""
    known = "{:.4g} ({:.4g} to {:.4g})".format(*one["interval"]) if one["interval"] else "not enough data"
    found = Text.assemble((label, "dim"), f"{known}, of the newest {one['values']:,} captured answers")
    if one["failed"]:
        found.append(f"; failed for {one['failed']:,}: {one['why']}", "yellow")
    return found


def _range(values: Mapping[str, float], name: str) -> str:
    if name not in values:
        return "-"
    low, high = (f"{values[end]:.3f}" if end in values else "?" for end in (f"{name}Low", f"{name}High"))
    return f"{values[name]:.3f} ({low} to {high})"


def _concept(row: QualityView) -> Text:
    if row.evidence is None:
        lacks = "no day of labels is complete, or the evaluation has too few" if row.labels else "no labels came"
        return Text(f"concept: not judged: {lacks}", "dim")
    evidence = f" (evidence {row.evidence:.2g}; from 1 on an alarm fires)"
    if row.evidence >= 1:
        since = f" since {row.since}" if row.since else ""
        return Text.assemble(("concept: ", "dim"), (f"it has moved{since}", "bold red"), evidence)
    since = f"; if it has moved, then since {row.since}" if row.since and row.evidence >= _TELLING else ""
    return Text.assemble(("concept: ", "dim"), ("not shown to have moved", "green"), f"{evidence}{since}")


def _ended(label: str, verdict: dict[str, str], now: str) -> Text:
    style = "green" if verdict["outcome"] == "promoted" else "red"
    return Text.assemble(
        (label, "dim"), (verdict["outcome"].replace("_", " "), style),
        f" {verdict['release']} at {when(verdict['at'], now)}: {verdict['text']}",
    )  # fmt: skip
