"""Progress of a replay: a bar on a terminal, lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from modelstack.cli.again import again
from modelstack.cli.replay import Report

LINE_S = 10.0
_BAR_S = 0.1


@dataclass(frozen=True)
class Mark:
    """Progress at a time (monotonic seconds): requests due, and requests done."""

    at: float
    due: int
    sent: int


def line(report: Report, before: Mark, now: Mark, rate: float | None) -> str:
    """Progress and the rate since `before`; `rate` is the desired rate, None for that of the due requests."""
    seconds = max(now.at - before.at, 1e-9)
    asked = (now.due - before.due) / seconds if rate is None else rate
    upto = f" up to {report.last:%Y-%m-%d}" if report.last else ""
    return (
        f"replay: {now.sent:,} sent, {report.failed:,} failed; {(now.sent - before.sent) / seconds:.1f}/s of "
        f"{asked:.1f}/s asked; {now.due - now.sent:,} due{upto} and not done"
    )


@contextmanager
def lines(report: Report, rate: float | None, say: Callable[[str], None]) -> Iterator[None]:
    """Print a line every ten seconds while the block runs."""
    before = Mark(time.monotonic(), 0, 0)

    def tell() -> None:
        nonlocal before
        now = Mark(time.monotonic(), report.due, report.sent)
        say(line(report, before, now, rate))
        before = now

    with again(LINE_S, tell):
        yield


@contextmanager
def bar(
    report: Report, console: Console, *, limit: int | None, days: tuple[datetime, datetime] | None
) -> Iterator[None]:
    """Show a bar while the block runs: of `limit` requests, or of `days` from first to last, or without a total."""
    columns = (
        TextColumn("replay {task.fields[day]}"),
        BarColumn(),
        TextColumn("{task.fields[sent]:,} sent, {task.fields[failed]:,} failed"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console) as progress:
        total = limit or ((days[1] - days[0]).days if days else None)
        task = progress.add_task("replay", total=total, day="", sent=0, failed=0)

        def tell() -> None:
            done = float(report.sent)
            if not limit and days and report.last:
                done = (report.last.replace(tzinfo=None) - days[0]).total_seconds() / 86_400
            day = str(report.last.date()) if report.last else ""
            progress.update(task, completed=done, sent=report.sent, failed=report.failed, day=day)

        with again(_BAR_S, tell):
            yield
        tell()
