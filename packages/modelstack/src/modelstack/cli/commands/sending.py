"""Commands that send something to an endpoint: invoke, replay, labels."""

from __future__ import annotations

import json
import sys
import threading
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, BinaryIO

import click
from click.core import ParameterSource

from modelstack.cli.errors import OperatorError
from modelstack.cli.invoke import send
from modelstack.cli.options import Day, Delay, Number, Whole, as_json_option
from modelstack.cli.page import Page, give, page, say
from modelstack.cli.signals import interruptible
from modelstack.cli.target import project_root
from modelstack.cli.target_options import Command, TargetOptions, find
from modelstack.cli.view.releases import variant_of
from modelstack.cli.view.times import stamp

if TYPE_CHECKING:
    from modelstack.cli.replay import Report


@click.command(cls=Command)
@click.argument("body", type=click.File("rb"))
@click.option("--variant", default=None, help="Ask this variant or release, whatever the weights are.")
@click.option("--content-type", default="application/json", show_default=True, help="What BODY is.")
@click.pass_obj
def invoke(asked: TargetOptions, body: BinaryIO, variant: str | None, content_type: str) -> None:
    """Send the file BODY (`-` is standard input) to the endpoint and print its answer."""
    by, answer = send(find(asked), body.read(), content_type, variant)
    say(f"answered by {by}", err=True)
    give(answer)


@click.command(cls=Command)
@click.option("--from", "start", type=Day(), default=None, help="First day, UTC. The default is the model's own.")
@click.option("--to", "end", type=Day(), default=None, help="Last day. The default is the last day of the data.")
@click.option(
    "--speed", type=Number(1), default=3600.0, show_default=True, help="How many seconds of events to send in a second."
)
@click.option(
    "--rate", type=Number(0.1, 2000), default=None, help="How many requests to send in a second, instead of --speed."
)
@click.option("--limit", type=Whole(1), default=None, help="Stop after so many requests.")
@click.option("--for", "seconds", type=Number(0.1), default=None, help="Stop after so many seconds.")
@click.option("--variant", default=None, help="Send everything to this variant or release.")
@click.option(
    "--labels-after",
    "labels_after",
    type=Delay(),
    default="none",
    show_default=True,
    help="Send the true label of each answer after so many seconds; known: when it is known, at --speed; or none.",
)
@as_json_option
@click.pass_obj
def replay(  # noqa: PLR0917 - one parameter per option
    asked: TargetOptions,
    start: datetime | None,
    end: datetime | None,
    speed: float,
    rate: float | None,
    limit: int | None,
    seconds: float | None,
    variant: str | None,
    labels_after: float | str,
    as_json: bool,
) -> None:
    """Send the model's own events to the endpoint, in their order.

    An event is one request: an instance with the model's features and, where known, its time and its true label. By
    default these are the rows of the table that training has not used. `replay(since, until)` in model/data.py gives
    others.

    --speed or --rate sets how fast. When it is told to stop (Ctrl-C, kill), it sends the labels that wait, and reports
    what it has sent so far. Where standard error is no terminal, and with --json, it prints a line there each ten
    seconds.

    Exits with 1 when a request failed.
    """
    from modelstack.cli.labels import LateLabels, not_sent  # noqa: PLC0415 - only this command needs it
    from modelstack.cli.replay import Pace, Report, events, run  # noqa: PLC0415

    given = click.get_current_context().get_parameter_source("speed") is ParameterSource.COMMANDLINE
    if rate is not None and given and labels_after != "known":
        raise OperatorError(
            "--rate and --speed both say how fast to send",
            "Give one of them. Both together mean something only with --labels-after known.",
            2,
        )
    if start and end and end < start:
        raise OperatorError(f"--to {end.date()} is before --from {start.date()}", "Give --to a later day.", 2)
    after_end = end + timedelta(days=1) if end else None
    target = find(asked)
    variant = variant_of(target, variant)
    source = events(str(start.date()) if start else None, str(after_end.date()) if after_end else None)
    late = None
    if labels_after != "none":
        late = LateLabels(target, None if isinstance(labels_after, str) else labels_after)
    report, stop = Report(), threading.Event()
    days = (start, after_end) if start and after_end else None
    shown = _progress(report, days, limit=limit, rate=rate, as_json=as_json)
    with interruptible(), late or nullcontext():
        with shown:
            run(
                target,
                source,
                Pace(speed=speed, rate=rate),
                limit=limit,
                seconds=seconds,
                variant=variant,
                labels=late,
                stop=stop,
                report=report,
            )
        _told(report, end, as_json=as_json)
        if late is not None and stop.is_set():
            late.hurry()
    if late is not None:
        without = report.answers["200"] - late.known
        say(f"{late.sent:,} labels sent" + (f"; {without:,} answers have none" * bool(without)), err=True)
        if late.unsent:
            raise not_sent(late, project_root() / ".modelstack")
    sys.exit(1 if report.failed else 0)


def _progress(
    report: Report, days: tuple[datetime, datetime] | None, *, limit: int | None, rate: float | None, as_json: bool
) -> AbstractContextManager[object]:
    """A bar on a terminal, lines elsewhere."""
    from modelstack.cli.replay_progress import bar, lines  # noqa: PLC0415 - only `replay` needs it

    console = Page(stderr=True)
    if console.is_terminal and not as_json:
        return bar(report, console, limit=limit, days=days)
    return lines(report, rate, partial(say, err=True))


def _told(report: Report, end: datetime | None, *, as_json: bool) -> None:
    if as_json:
        say(json.dumps(report.as_dict(), indent=2))
        return
    page().print(report.table())
    if report.ended and report.last and (end is None or report.last.date() < end.date()):
        say(f"the data ends there: the last event is of {stamp(report.last)}", err=True)


@click.command(cls=Command)
@click.argument("file", type=click.File("rb"))
@click.pass_obj
def labels(asked: TargetOptions, file: BinaryIO) -> None:
    """Send the true labels in FILE (`-` is standard input). They are joined with the answers that they are about.

    One line per label: {"inference_id": "order-17", "label": true}. The id is the InferenceId of the request. The label
    is what the model should have answered, or a list of labels if the request had several instances. You may send a
    label twice, and before or after its answer was captured. It counts once.
    """
    from modelstack.cli.labels import read, upload  # noqa: PLC0415 - only this command needs it

    lines = read(file)
    for address in upload(find(asked), lines):
        say(address)
    say(f"{len(lines):,} labels sent", err=True)
