"""The year as one page: no other file, no address outside of it."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from demos.year.facts import AFTER_DAYS, LIVE, Alarm, Retraining, Rollout, Year, start
from demos.year.losses import smoothed
from demos.year.policies import MONTHLY, NEVER
from modelstack.cli.console import app
from modelstack.cli.console.figure import Bar, Curve, Figure, Lane, Limit, Mark, Point, Span, Version, short

PAGE, TABLES, FACTS = "year.html", "year.md", "year.json"
NAMES = {LIVE: "live, by gates and trials", NEVER: "never retrained", MONTHLY: "retrained each month"}
_DAY = 86_400
_LOUDEST = 1e3  # evidence beyond it, or below one part in it, is drawn there
_CONSOLE = Path(app.__file__).parent
_SCRIPTS, _STYLES = ("uplot/uPlot.iife.min.js", "charts.js"), ("uplot/uPlot.min.css", "console.css")


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
        loader=FileSystemLoader([Path(__file__).parent, _CONSOLE / "templates"]),
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
        "short": short,
        "names": NAMES,
    }
    return templates.get_template(template).render(
        year=year,
        graphs=_graphs(year),
        happened=_happened(year),
        scripts=_whole(_SCRIPTS),
        styles=_whole(_STYLES),
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
    """Why a retraining was begun; of an alarm that fired, its own part of its name."""
    return f"{one.asked} fired" if one.asked else one.why


def _span(year: Year) -> Span:
    return Span(start(year.plan.since), start(year.plan.until))


def _whole(names: Sequence[str]) -> Markup:
    """Files of the console, to stand in the page, with the licence of what is not ours."""
    licence = (_CONSOLE / "static" / "uplot" / "LICENSE").read_text()
    texts = [f"/*\n{licence}*/", *((_CONSOLE / "static" / name).read_text() for name in names)]
    return Markup("\n".join(texts))


def _graphs(year: Year) -> list[Figure]:
    span, marks = _span(year), tuple(_marks(year))
    means = {policy: tuple((start(at), value) for at, value in smoothed(year.days, policy)) for policy in NAMES}
    gained = {policy: _less(means[NEVER], means[policy]) for policy in NAMES}
    return [
        Figure(
            "Log-loss, mean of 7 days (lower is better)",
            span,
            _curves(means),
            unit="nats",
            period=_DAY,
            floor=None,
            marks=marks,
        ),
        Figure(
            "What was gained against never retraining, mean of 7 days (above 0 is a gain)",
            span,
            _curves(gained),
            unit="nats",
            period=_DAY,
            marks=marks,
        ),
        Figure(
            "Evidence that requests or concept have moved",
            span,
            tuple(Curve(name, Version(), tuple(points)) for name, points in year.evidence.items()),
            unit="evidence",
            log=True,
            clamp=(1 / _LOUDEST, _LOUDEST),
            limits=(Limit("alarm from", 1.0),),
            marks=marks,
        ),
    ]


def _curves(points: Mapping[str, tuple[Point, ...]]) -> tuple[Curve, ...]:
    return tuple(Curve(NAMES[policy], Version(), each) for policy, each in points.items())


def _less(whole: Sequence[Point], part: Sequence[Point]) -> tuple[Point, ...]:
    return tuple((at, one - other) for (at, one), (_, other) in zip(whole, part, strict=True))


def _marks(year: Year) -> Iterator[Mark]:
    for one in year.rollouts:
        if one.ended is not None:
            yield Mark(one.ended, f"{day(one.ended)}: {one.release} {one.outcome.replace('_', ' ')}")


def _happened(year: Year) -> Figure:
    lanes = (
        Lane("drift", tuple(_firing(year.alarms, "drift"))),
        Lane("concept", tuple(_firing(year.alarms, "concept"))),
        Lane("training", tuple(map(_trained, year.retrainings))),
        Lane("trial", tuple(map(_tried, year.rollouts))),
    )
    return Figure("Alarms, trainings and trials", _span(year), lanes=lanes)


def _firing(alarms: Sequence[Alarm], kind: str) -> list[Bar]:
    return [
        Bar(one.began, one.ended, f"{kind} of {one.variant}: {day(one.began)} to {day(one.ended)}", "5")
        for one in alarms
        if one.kind == kind
    ]


def _trained(one: Retraining) -> Bar:
    colour = {"candidate": "ok", "kept": "4"}.get(one.outcome, "alarm")
    return Bar(one.began, one.ended, f"{day(one.began)}: {one.why}; {one.outcome}: {one.text}", colour)


def _tried(one: Rollout) -> Bar:
    colour = "ok" if one.outcome == "promoted" else "alarm"
    return Bar(one.began, one.ended, f"{day(one.began)}: {one.release}, {one.outcome}: {one.text}", colour)
