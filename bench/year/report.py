"""The year as one page: no other file, no address outside of it."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from bench.year.facts import AFTER_DAYS, LIVE, Alarm, Retraining, Rollout, Year, start
from bench.year.lanes import Bar, Lane, lanes
from bench.year.losses import smoothed
from bench.year.policies import MONTHLY, NEVER
from cli.console.chart import Look, Mark, Span, graph, style
from cli.console.definition import Line
from cli.measured import Series

PAGE, TABLES, FACTS = "year.html", "year.md", "year.json"
NAMES = {LIVE: "live, by gates and trials", NEVER: "never retrained", MONTHLY: "retrained each month"}
_DAY = 86_400
_LOUDEST = 3.0  # powers of ten of evidence that are drawn, above 1 and below
_WIDTH, _HEIGHT = 1000, 230


def write(year: Year, folder: Path) -> tuple[Path, Path]:
    """Write the page, its tables alone as Markdown, and the facts.

    Returns:
        Where page and facts are.
    """
    folder.mkdir(parents=True, exist_ok=True)
    page, facts = folder / PAGE, folder / FACTS
    page.write_text(render(year))
    (folder / TABLES).write_text(render(year, "report.md"))
    facts.write_text(json.dumps(year.as_dict(), indent=1, allow_nan=False) + "\n")
    return page, facts


def render(year: Year, template: str = "report.html") -> str:
    """The page, or its tables by another template of this folder."""
    templates = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=template.endswith(".html"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.globals |= {  # pyrefly: ignore[bad-assignment] - Jinja types it by what it begins with
        "day": day,
        "number": _told("{:.4f}"),
        "signed": _told("{:+.4f}"),
        "interval": _told("{:+.4f} to {:+.4f}"),
        "because": because,
        "style": style,
        "names": NAMES,
    }
    return templates.get_template(template).render(
        year=year,
        graphs=list(_graphs(year)),
        happened=_happened(year),
        policies=[(name, year.mean(name, -math.inf, math.inf)) for name in (LIVE, NEVER, MONTHLY)],
        alarms=[(one, *year.around(one.began), year.around(one.began, NEVER)[1]) for one in year.alarms],
        weeks=AFTER_DAYS,
    )


def day(at: float | None) -> str:
    """The day of a time; a dash for none."""
    return "-" if at is None else datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d")


def _told(form: str) -> Callable[..., str]:
    """Writes numbers in a form; a dash where one is missing."""

    def told(*values: float | None) -> str:
        return "-" if None in values else form.format(*values)

    return told


def because(one: Retraining) -> str:
    """Why a retraining was begun; of an alarm that rang, its own part of its name."""
    return f"{one.asked} rang" if one.asked else one.why


def _span(year: Year) -> Span:
    return Span(start(year.plan.since), start(year.plan.until))


def _look(year: Year, *, from_zero: bool = False) -> Look:
    ticks = tuple(start(since) for since, _ in year.plan.months)
    return Look(_WIDTH, _HEIGHT, "%d %b", "%Y-%m-%d", ticks, from_zero=from_zero, dots=False)


def _graphs(year: Year) -> Iterator[tuple[str, Markup, list[str]]]:
    """Title, picture and the names of the curves, of each graph."""
    span, marks = _span(year), list(_marks(year))
    means = {
        policy: Series(NAMES[policy], tuple((start(at), value) for at, value in smoothed(year.days, policy)))
        for policy in (LIVE, NEVER, MONTHLY)
    }
    curves = list(means.values())
    title = "Log-loss, mean of 7 days (nats; lower is better)"
    yield title, graph(title, curves, span, _DAY, marks=marks, look=_look(year)), [one.label for one in curves]

    gained = [Series(NAMES[policy], _less(means[NEVER], means[policy])) for policy in means]
    title = "What was gained against never retraining, mean of 7 days (nats; above 0 is a gain)"
    drawn = graph(title, gained, span, _DAY, marks=marks, look=_look(year, from_zero=True))
    yield title, drawn, [one.label for one in gained]

    evidence = [
        Series(name, tuple((at, _power(value)) for at, value in points)) for name, points in year.evidence.items()
    ]
    title = "Evidence that requests or concept have moved (powers of ten; from 0 on the alarm rings)"
    limit = [Line("alarm", 0.0)]
    drawn = graph(title, evidence, span, 30 * _DAY, lines=limit, marks=marks, look=_look(year, from_zero=True))
    yield title, drawn, [one.label for one in evidence]


def _less(whole: Series, part: Series) -> tuple[tuple[float, float], ...]:
    return tuple((at, one - other) for (at, one), (_, other) in zip(whole.points, part.points, strict=True))


def _power(value: float) -> float:
    least = 10**-_LOUDEST
    return min(math.log10(max(value, least)), _LOUDEST)


def _marks(year: Year) -> Iterator[Mark]:
    for one in year.rollouts:
        if one.ended is not None:
            yield Mark(one.ended, f"{day(one.ended)}: {one.release} {one.outcome.replace('_', ' ')}")


def _happened(year: Year) -> Markup:
    rows = [
        Lane("drift", _ringing(year.alarms, "drift")),
        Lane("concept", _ringing(year.alarms, "concept")),
        Lane("training", [_trained(one) for one in year.retrainings]),
        Lane("trial", [_tried(one) for one in year.rollouts]),
    ]
    return lanes("Alarms, trainings and trials", rows, _span(year), _look(year))


def _ringing(alarms: Sequence[Alarm], kind: str) -> list[Bar]:
    return [
        Bar(one.began, one.ended, "ringing", f"{kind} of {one.variant}: {day(one.began)} to {day(one.ended)}")
        for one in alarms
        if one.kind == kind
    ]


def _trained(one: Retraining) -> Bar:
    look = {"candidate": "good", "kept": "same"}.get(one.outcome, "bad")
    return Bar(one.began, one.ended, look, f"{day(one.began)}: {one.why}; {one.outcome}: {one.text}")


def _tried(one: Rollout) -> Bar:
    look = "good" if one.outcome == "promoted" else "bad"
    return Bar(one.began, one.ended, look, f"{day(one.began)}: {one.release}, {one.outcome}: {one.text}")
