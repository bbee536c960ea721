"""The text of `modelstack explain`: the answer first, then the evidence, then what to do."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from modelstack.cli.view.board import e_value, value
from modelstack.cli.view.explain import Story
from modelstack.cli.view.render import situation
from modelstack.cli.view.situation import Situation
from modelstack.cli.view.snapshot import Snapshot
from modelstack.cli.view.times import when
from modelstack.cli.view.trial import MetricView
from modelstack.rollout.controller.notice import release_of
from modelstack.rollout.core.catalogue import KNOWN
from modelstack.rollout.core.event import latency


def told(story: Story, seen: Snapshot, found: Situation) -> RenderableType:
    """The whole output of `modelstack explain`; while an alarm fires, the next steps are those against it."""
    style = "green" if story.outcome == "promoted" else "yellow" if story.outcome == "running" else "bold red"
    table = Table.grid(padding=(0, 1))
    table.add_column(width=10, style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for label, text in (*_what(story, seen), *_numbers(story), *_rest(story, seen, found)):
        table.add_row(label, text)
    found = replace(found, next=tuple(step for step in found.next if " explain`" not in step))
    return Group(*situation(found), Text(), Text(story.summary, style), Text(), table)


def _what(story: Story, seen: Snapshot) -> Iterator[tuple[str, RenderableType]]:
    if not story.rollout_id:
        return
    waits = story.trial
    if waits and waits.lacks and waits.reason:
        yield "waits for", Text(f"{waits.lacks}: {waits.reason['text']}")
    else:
        yield "waits" if story.outcome == "running" else "why", Text(story.why)
    if story.decided_by:
        yield "decided by", Text(story.decided_by)
    if story.alarm and story.alarm.value is not None:
        yield "", Text(f"its value was {_number(story.alarm.value)}, its threshold {_number(story.alarm.threshold)}")
        yield "", Text(f"the alarm says: {story.alarm.text}", "dim")
    then = "" if story.outcome == "running" else " then"
    beside = f" beside {story.beside}, the champion{then}" if story.beside else ""
    own = story.release == release_of(story.rollout_id)
    label = ("on trial" if story.tried else "release") if own else "champion"
    yield label, Text(f"v-{story.release}{beside} (rollout {story.rollout_id})")
    yield "", Text()
    for number, turn in enumerate(story.turns):
        weights = ", ".join(f"{name} {weight}%" for name, weight in turn.weights.items())
        asked = f"  [{weights}]" if turn.kind in {"weights", "reduced"} and weights else ""
        what = turn.text.removesuffix(f": {story.why}")  # which stands above
        line = Text.assemble((f"{when(turn.at, seen.at)}  ", "dim"), what, (asked, "dim"))
        yield ("" if number else "history"), line


def _number(value: float | None) -> str:
    return "not told" if value is None else f"{value:.4g}"


def _numbers(story: Story) -> Iterator[tuple[str, RenderableType]]:
    if story.evidence:
        when = "now" if story.outcome == "running" else "when it was decided"
        yield "", Text()
        yield "evidence", Text(f"{when}; counted over the whole trial")
        for row in story.evidence:
            yield from (("", line) for line in _metric(row, decides=row.metric == story.name))
        if story.trial and story.trial.shadow and any(row.metric not in KNOWN for row in story.evidence):
            yield (
                "",
                Text("a service's metric is not compared in a step that only copies requests", "dim"),
            )
    elif story.source in ("alarm", "person") and story.outcome == "rolled_back":
        yield "", Text()
        was_champion = any(turn.kind == "promoted" for turn in story.turns)
        not_had = "nothing was compared yet, or the metrics could not be read"
        why = "it was champion by then, and is compared with none" if was_champion else not_had
        yield "evidence", Text(f"none was kept: {why}")
    if story.replay:
        yield "", Text()
        yield "replay", Text(story.replay.text)
        for bound in story.replay.bounds:
            style = "" if bound.within else "red"
            yield "", Text(f"{bound.what}: {bound.seen}, allowed {bound.allowed}", style)
        for example in story.replay.examples:
            yield "", Text(f"for example: {example}", "dim")


def _metric(row: MetricView, *, decides: bool) -> Iterator[Text]:
    style = {"worse": "red", "not worse": "green"}.get(row.answer, "yellow")
    mark = " (decides)" if decides else ""
    only = "" if row.prove else f"; {e_value(row.not_worse.need)} is enough, before the promotion"
    margin = {"mean": f"{row.margin:.4g}", "quantile": f"{row.margin:.0%} slower"}.get(row.kind, f"{row.margin:.2%}")
    yield Text.assemble((row.metric, "bold"), mark, ": ", (row.answer, style), f", tolerated is {margin}{only}")
    what = f"{_pivot(row)}: " if row.kind == "quantile" else ""
    challenger = value(row, row.challenger, row.challenger_count)
    yield Text(f"  {what}challenger {challenger}, champion {value(row, row.champion, row.champion_count)}")
    proofs = [("worse", row.worse), ("not worse", row.not_worse)]
    proofs += [("better", row.better)] if row.better else []
    told = ", ".join(f"{name} {e_value(item.have)} of {e_value(item.need)} needed" for name, item in proofs)
    yield Text(f"  evidence for {told}")


def _pivot(row: MetricView) -> str:
    fixed = "" if row.pivot is None else f", {latency(row.pivot)}"
    than = f" (the challenger by more than {row.margin:.0%})" if row.margin else ""
    return f"slower than the pivot{fixed}{than}"


def _rest(story: Story, seen: Snapshot, found: Situation) -> Iterator[tuple[str, RenderableType]]:
    yield "", Text()
    yield "endpoint", Text(seen.status)
    for number, row in enumerate(seen.variants):
        share = f"gets copies of {row.copies:.0f}%" if row.copies else f"{row.weight:.0f}%"
        yield ("" if number else "live now"), Text(f"{row.name} ({row.role}) {share}")
    yield "", Text()
    for number, step in enumerate(found.next if found.state == "wrong" else story.next):
        yield ("" if number else "next"), Text(step)
