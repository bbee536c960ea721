"""The display of `modelstack watch`: one picture of 80 columns, or a line for each change without a terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Mapping
from typing import Any

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from modelstack.cli.view.render import approve_line, bar
from modelstack.cli.view.snapshot import Snapshot, VariantView
from modelstack.cli.view.times import duration, stamp, when
from modelstack.cli.view.trial import MetricView, Proof, TrialView
from modelstack.rollout.controller.commands import Commands
from modelstack.rollout.controller.notice import waiting
from modelstack.rollout.reason import Reason

_HALF = 7  # characters of one side of an evidence bar
_EVENTS = 4
_LABEL = 9
_LINE = 110
_MANY = 10_000
_ANSWER_STYLE = {"worse": "bold red", "not worse": "green", "unknown": ""}
_ASCII = str.maketrans({"█": "#", "░": ".", "│": "|", "…": "~", "→": ">"})


class Board:
    """The picture of one snapshot; in ASCII where the terminal supports nothing else."""

    def __init__(self, seen: Snapshot, problem: str = "") -> None:
        self._parts = _parts(seen, problem)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for segment in console.render(Group(*self._parts), options):
            text = segment.text.translate(_ASCII) if options.ascii_only else segment.text
            yield Segment(text, segment.style, segment.control)


def _parts(seen: Snapshot, problem: str) -> list[RenderableType]:
    parts: list[RenderableType] = [_head(seen), _rows(seen)]
    if seen.trial and seen.trial.evidence:
        parts.append(_evidence(seen.trial.evidence))
    parts.append(_alarms(seen))
    parts += [
        _line(Text.assemble((f"{when(event.at, seen.at)}  ", "dim"), event.text)) for event in seen.events[-_EVENTS:]
    ]
    if problem:
        parts.append(_line(Text.assemble(("cannot look: ", "yellow"), problem)))
    return parts


def _line(text: Text) -> Text:
    text.no_wrap, text.overflow = True, "ellipsis"
    return text


def _head(seen: Snapshot) -> Text:
    style = "green" if seen.status == "InService" else "yellow"
    return _line(
        Text.assemble(
            (seen.endpoint, "bold"), "  ", (seen.status, style), "  ", (seen.phase.replace("_", " "), "bold"),
            (f"  {stamp(seen.at)}", "dim"),
        )
    )  # fmt: skip


def _rows(seen: Snapshot) -> Table:
    table = Table.grid(padding=(0, 1))
    table.add_column(width=_LABEL, no_wrap=True, style="dim")
    table.add_column(overflow="fold")
    for number, row in enumerate(seen.variants):
        table.add_row("" if number else "traffic", _variant(row))
    trial = seen.trial
    for label, text in _of_trial(trial, seen.commands) if trial else ():
        table.add_row(label, text)
    if seen.verdict and trial is None:
        table.add_row("verdict", _verdict(seen.verdict))
    return table


def _variant(row: VariantView) -> Text:
    target = row.desired if row.asked is None else row.asked
    moving = f" → {target:.0f}%" if abs(target - row.weight) > 0.5 else ""
    if row.copies:
        share, told = row.copies, f"gets copies of {row.copies:.0f}%"
    else:
        share, told = row.weight, f"{row.weight:.0f}%{moving}"
    return _line(Text.assemble(f"{row.role:<10} {row.name:<14} ", bar(share / 100), f" {told}"))


def _of_trial(trial: TrialView, commands: Commands) -> list[tuple[str, Text]]:
    rows = [("step", _step(trial))]
    seen = "not known yet" if trial.requests is None else f"{trial.requests:,}"
    enough = bar((trial.requests or 0) / trial.min_requests)
    rows.append(
        ("requests", Text.assemble(enough, f" {seen} in this step; at least {trial.min_requests:,} are needed"))
    )
    if trial.seconds_left is not None:
        end = f"without a verdict it is {'rolled back' if trial.on_timeout == 'roll_back' else 'held'}"
        then = "it stands still meanwhile" if trial.approval else end
        text = f"{duration(trial.seconds_left)} left of {duration(trial.max_seconds)}; {then}"
        rows.append(("time", Text(text)))
        if trial.short:
            rows.append(("", Text("at this pace that is probably too short for a verdict", "yellow")))
    if trial.replayed:
        rows.append(("replay", Text(trial.replayed)))
    if trial.approval:
        rows.append(("waits", Text(trial.waits_for, "bold yellow")))
        rows.append(("", Text(f"type: {approve_line(commands)}", "bold yellow")))
    else:
        rows.append(("waits", Text(_waits(trial, 138))))
    return rows


def _step(trial: TrialView) -> Text:
    if not trial.step:
        return Text.assemble(bar(0), f" before the first of {trial.steps}: no traffic yet")
    share = f"copies of {trial.weight}%" if trial.shadow else f"{trial.weight}% of the traffic"
    if trial.baked is None:
        return Text.assemble(bar(0), f" {trial.step} of {trial.steps}: {share}, not confirmed yet")
    done = trial.baked / trial.bake_seconds if trial.bake_seconds else 1.0
    baked = f"baked {duration(min(trial.baked, trial.bake_seconds))} of {duration(trial.bake_seconds)}"
    return Text.assemble(bar(done), f" {trial.step} of {trial.steps}: {share}, {baked}")


def _evidence(rows: tuple[MetricView, ...]) -> Table:
    """Each metric's evidence on a log scale: worse to the left, not worse to the right.

    Counts are of the whole trial; the count of requests above is of the step.
    """
    table = Table.grid(padding=(0, 1))
    table.add_column(min_width=13, overflow="ellipsis")  # the only one that gives way: a name is one word
    table.add_column(width=9, justify="right", no_wrap=True)
    table.add_column(width=2 * _HALF + 1, no_wrap=True)
    table.add_column(width=9, no_wrap=True)
    for _ in range(2):
        table.add_column(no_wrap=True)
    table.add_row(
        *(Text(name, "dim") for name in ("whole trial", "worse", "evidence", "not worse", "challenger", "champion"))
    )
    for row in rows:
        table.add_row(
            Text(row.metric, _ANSWER_STYLE[row.answer]),
            _proof(row.worse),
            _scale(row.worse, row.not_worse),
            _proof(row.not_worse),
            value(row, row.challenger, row.challenger_count),
            value(row, row.champion, row.champion_count),
        )
        if row.better:
            table.add_row("  better", "", _scale(None, row.better), _proof(row.better))
    return table


def _scale(left: Proof | None, right: Proof) -> Text:
    worse = round(left.share * _HALF) if left else 0
    fine = round(right.share * _HALF)
    return Text.assemble(
        (" " if left is None else "░") * (_HALF - worse), ("█" * worse, "red"),
        "│",
        ("█" * fine, "green"), "░" * (_HALF - fine),
    )  # fmt: skip


def _proof(proof: Proof) -> str:
    return f"{e_value(proof.have)}/{e_value(proof.need)}"


def e_value(number: float) -> str:
    """An e-value in at most four characters."""
    return f"{number:.1f}" if number < 9.95 else f"{number:.0f}" if number < 999.5 else ">999"


def value(row: MetricView, number: float, count: int) -> str:
    """A rate, mean or share, and its number of observations."""
    if not count:
        return "no data"
    many = f"{count:,}" if count < _MANY else f"{count / 1000:.0f}k"
    return f"{number:.4g} of {many}" if row.kind == "mean" else f"{number:.2%} of {many}"


def _alarms(seen: Snapshot) -> RenderableType:
    if not seen.firing:
        unknown = sum(alarm.state == "INSUFFICIENT_DATA" for alarm in seen.alarms)
        without = f", {unknown} of them without data" if unknown else ""
        told = f"{len(seen.alarms)}, none in alarm{without}"
        return _line(Text.assemble(("alarms".ljust(_LABEL + 1), "dim"), (told, "yellow" if unknown else "")))
    lines = [
        Text.assemble(
            ("alarm".ljust(_LABEL + 1), "bold red"),
            alarm.name.removeprefix(f"{seen.endpoint}-"),
            f": {brief(alarm.brief)}",
        )
        for alarm in seen.firing
    ]
    return Group(*(_line(line) for line in lines))


def _verdict(verdict: dict[str, Any]) -> Text:
    style = "green" if verdict["outcome"] == "promoted" else "red"
    told = f"{verdict['release']}: {brief_verdict(verdict, 186)}"
    return Text.assemble((verdict["outcome"].replace("_", " "), style), f" {told}")


def news(before: Snapshot | None, now: Snapshot) -> list[str]:
    """The changes between two snapshots, a line each."""
    found = changes(before, now)
    was, trial = before.trial if before else None, now.trial
    if trial is None:
        return found

    def differs(view: Callable[[TrialView], object]) -> bool:
        return was is None or was.rollout_id != trial.rollout_id or view(was) != view(trial)

    if differs(lambda item: (item.step, item.baked is None)):
        found.append(f"step     {_step(trial).plain.lstrip('█░ ')}")
    if trial.replayed and differs(lambda item: item.replayed):
        found.append(f"replay   {trial.replayed}")
    answers = {item.metric: item.answer for item in was.evidence} if was else {}
    for row in trial.evidence:
        if row.answer != answers.get(row.metric, "unknown"):
            found.append(f"judge    {row.text}")
    if differs(_waited_for):
        found.append(f"waits    {trial.waits_for}")
        if trial.approval:
            found.append(f"         type: {approve_line(now.commands)}")
    return found


def _waited_for(trial: TrialView) -> tuple[object, ...]:
    kind = trial.reason["kind"] if trial.reason else ""
    return trial.approval, trial.action, trial.lacks or kind


def changes(before: Snapshot | None, now: Snapshot) -> list[str]:
    """The changes between two snapshots; all of the present state when there was none before."""
    found: list[str] = []
    if before is None or _weights(before) != _weights(now):
        found.append(f"weights  {_weights(now)}")
    if before is None or before.phase != now.phase:
        found.append(f"rollout  {now.phase.replace('_', ' ')}")
    was = {alarm.name: alarm.state for alarm in before.alarms} if before else {}
    for alarm in now.alarms:
        if alarm.state == "ALARM" and was.get(alarm.name) != "ALARM":
            found.append(f"alarm    {alarm.name} fires: {brief(alarm.brief)}")
        if alarm.state != "ALARM" and was.get(alarm.name) == "ALARM":
            found.append(f"alarm    {alarm.name} is {alarm.state.replace('_', ' ').lower()} again")
    for label in ("verdict", "moved"):
        ended = getattr(now, label)
        if before is not None and ended and ended != getattr(before, label):
            found.append(f"{label:<8} {ended['outcome'].replace('_', ' ')}: {brief_verdict(ended)}")
    return found


def brief(text: str, width: int = _LINE) -> str:
    """A text, shortened to a line."""
    return textwrap.shorten(text, width, placeholder=" ...")


def brief_verdict(verdict: Mapping[str, Any], width: int = _LINE) -> str:
    """A verdict's reason, shortened to a line, but always with the evidence."""
    return Reason.from_dict(verdict["reason"]).brief(width)


def _weights(seen: Snapshot) -> str:
    return "  ".join(f"{item.name} ({item.role}) {item.weight:.0f}%" for item in seen.variants)


def _waits(trial: TrialView, width: int) -> str:
    """What a trial waits for, shortened to a line, but always with the evidence."""
    if trial.reason is None or trial.lacks is None:
        return brief(trial.waits_for, width)
    before = waiting(trial.lacks)
    return before + Reason.from_dict(trial.reason).brief(width - len(before))
