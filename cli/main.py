"""The `modelstack` command.

    modelstack status
    modelstack watch
    modelstack explain
    modelstack approve --reason "looks well"
    modelstack invoke model/example_request.json
    modelstack replay --rate 25
    modelstack labels truth.jsonl
    modelstack rollback --reason "customers complain"
    modelstack model init churn.joblib churn.csv --label churned

Exit codes: 0 done, 1 it failed or the answer is no, 2 the command was wrong.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from contextlib import nullcontext
from dataclasses import asdict, replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import BinaryIO

import click
from click.core import ParameterSource
from rich.console import Console

from cli import retrain as retraining
from cli.asked import Asked, Group, find
from cli.errors import OperatorError
from cli.invoke import send
from cli.options import Day, Delay, Number, Reason, Whole
from cli.page import page
from cli.rollback import approve as give_approval
from cli.rollback import clear_rejection, roll_back, to_take_back
from cli.rollback import skip_trial as let_skip
from cli.stopping import interruptible
from cli.target import ROOT
from cli.view import budget, delay, kept_aside, quality, render, served
from cli.view.releases import variant_of
from cli.view.snapshot import take

_LOOK = ("status", "waiting")  # at what was retrained
_NONE_WAITS = 3  # no code of an error
_json = click.option("--json", "as_json", is_flag=True, help="Print JSON, and nothing else, on standard output.")


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="modelstack")
def main() -> None:
    """Look at a model's endpoint, send requests to it, and take a release back."""


@main.command()
@_json
@click.pass_obj
def status(asked: Asked, as_json: bool) -> None:
    """Show what serves now, and how well.

    That is: endpoint, weights, availability and latency, what a trial waits for, the last verdict, retraining, error
    budgets, quality, bad input, alarms and packages.

    Exits with 1 when the endpoint is not in service or an alarm rings.
    """
    from cli.view.watching import Looks  # noqa: PLC0415 - it loads the judge, which few commands need

    target = find(asked)
    seen = Looks(target)()
    variants = [row.name for row in seen.variants]
    seen = replace(
        seen,
        served=served.read(target, variants),
        budgets=budget.read(target),
        quality=quality.read(target, variants),
        delay_s=delay.read(target),
        aside=kept_aside.read(target),
        retraining=retraining.line(retraining.look(target), target.commands),
    )
    if as_json:
        click.echo(json.dumps(seen.as_dict(), indent=2))
    else:
        page().print(render.snapshot(seen))
    sys.exit(0 if seen.status in ("InService", "Updating") and not seen.ringing else 1)


@main.command()
@click.argument("rollout", required=False)
@click.option("--every", type=Number(0.5, 60), default=1.0, show_default=True, help="Look again after so many seconds.")
@click.option("--for", "seconds", type=Number(0), default=0.0, help="Stop after so many seconds; 0 means never.")
@click.option("--until-verdict", is_flag=True, help="Stop when the trial has ended, or when a person must decide.")
@click.option(
    "--next", "next_one", is_flag=True, help="Wait for the release that the next `pulumi up` from here would begin."
)
@_json
@click.pass_obj
def watch(  # noqa: PLR0917 - one parameter per option
    asked: Asked,
    rollout: str | None,
    every: float,
    seconds: float,
    until_verdict: bool,
    next_one: bool,
    as_json: bool,
) -> None:
    """Follow a release on trial live: weights, step, evidence, time left, alarms and events.

    ROLLOUT is the id of a rollout, or of a release that an update is about to begin: the command waits until it has
    begun, and stops when it has ended. --next finds that id, from this checkout and the stack's config. In a pipeline,
    give one of them, and a limit: `modelstack watch --next --for 3600`. Without --for it must begin within ten minutes.

    When piped, it prints one line for each change. With --json, it prints one object for each look.

    Exits with 0 when the release was promoted or nothing is on trial, 1 when it was rolled back or failed, 3 when it
    was withdrawn or superseded, 4 when a person must decide (an approval, or a trial that is held), and 5 when the time
    is over and the trial goes on, or has not begun. A release that already serves ends it with 0, and one that was
    already rejected with 1, at once; standard error says so. With --until-verdict, 2 when nothing is on trial and none
    is named: a verdict from before is no answer.
    """
    from cli import next_release  # noqa: PLC0415 - only this command needs it
    from cli.view.awaited import Awaited  # noqa: PLC0415
    from cli.view.watching import Looks  # noqa: PLC0415
    from cli.view.watching import watch as look_on  # noqa: PLC0415

    if next_one and rollout:
        raise OperatorError("--next and ROLLOUT both say what to wait for", "Give one of them.", 2)
    target = find(asked)
    if next_one:
        rollout = next_release.id_of(target)
        click.echo(f"the next update releases {rollout}", err=True)
    looks = Looks(target)
    awaited = Awaited(rollout, time.time()) if rollout else None
    sys.exit(
        look_on(
            looks,
            every=every,
            seconds=seconds,
            until_verdict=until_verdict,
            as_json=as_json,
            named=(lambda: awaited.stands(looks.state)) if awaited else None,
        )
    )


@main.command()
@click.argument("rollout", required=False)
@_json
@click.pass_obj
def explain(asked: Asked, rollout: str | None, as_json: bool) -> None:
    """Explain why a rollout ended as it did, with the numbers, and what to do next. For a trial: what it waits for.

    ROLLOUT is the id of a rollout or of its release. The default is the trial under way, or else the last one.
    """
    from cli.view.explain import explain as story_of  # noqa: PLC0415 - only this command needs it
    from cli.view.narrate import told  # noqa: PLC0415
    from cli.view.watching import Looks  # noqa: PLC0415

    target = find(asked)
    looks = Looks(target, with_packages=False)
    seen = looks()
    story = story_of(looks.state, looks.decision, time.time(), rollout, target.commands)
    if as_json:
        now = {"endpoint_status": seen.status, "serving": [asdict(item) for item in seen.variants]}
        click.echo(json.dumps({**story.as_dict(), **now}, indent=2))
    else:
        page().print(told(story, seen))


@main.command()
@click.option(
    "--port",
    type=Whole(0, 65535),
    default=4580,
    show_default=True,
    help="The port on 127.0.0.1; 0 takes a free one.",
)
@click.pass_obj
def console(asked: Asked, port: int) -> None:
    """Show dashboard, rollout, alarms, registry and a comparison in a browser, with live data, until Ctrl-C.

    It only reads: nothing can be changed there.
    """
    from cli.console.pages import Pages  # noqa: PLC0415 - only this command needs it
    from cli.console.serve import Serving  # noqa: PLC0415

    Serving(Pages(find(asked)), port).run(lambda address: click.echo(f"{address}  (Ctrl-C ends it)"))


@main.command()
@click.option("--reason", type=Reason(), default=None, help="Why. It is kept in the history.")
@click.pass_obj
def approve(asked: Asked, reason: str | None) -> None:
    """Let a trial go on that waits for approval, or give a trial that is held as much time again."""
    click.echo(give_approval(find(asked), reason or ""))


@main.command()
@click.argument("body", type=click.File("rb"))
@click.option("--variant", default=None, help="Ask this variant or release, whatever the weights are.")
@click.option("--content-type", default="application/json", show_default=True, help="What BODY is.")
@click.pass_obj
def invoke(asked: Asked, body: BinaryIO, variant: str | None, content_type: str) -> None:
    """Send the file BODY (`-` is standard input) to the endpoint and print its answer."""
    by, answer = send(find(asked), body.read(), content_type, variant)
    click.echo(f"answered by {by}", err=True)
    click.echo(answer)


@main.command()
@click.argument("package", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@click.option(
    "--port", type=Whole(1, 65535), default=8080, show_default=True, help="Listen here, on this machine only."
)
@click.option("--workers", type=Whole(1, 64), default=1, show_default=True, help="Processes that predict.")
def serve(package: Path, port: int, workers: int) -> None:
    """Serve the sealed package PACKAGE on a port, without a cloud, until Ctrl-C.

    It is verified first, and answers as a container does: `/invocations`, `/v2/models/model/infer`, `/metrics`. Any
    package that was built here can be served: `python -m pipeline build` prints where it is.
    """
    from cli.local import package as packages  # noqa: PLC0415 - only this command needs it

    sys.exit(packages.serve(package, port, workers))


@main.command()
@click.argument("body", type=click.File("rb"))
@click.option("--url", default="http://127.0.0.1:8080", show_default=True, help="The server, by plain HTTP.")
@click.option(
    "--rate",
    type=Number(0, 100_000),
    default=0.0,
    help="Requests a second, at even times. 0, the default, is as fast as they are answered.",
)
@click.option("--for", "seconds", type=Number(0.1, 3600), default=10.0, show_default=True, help="Seconds of load.")
@click.option("--connections", type=Whole(1, 1000), default=8, show_default=True, help="Connections at once.")
@_json
def loadtest(  # noqa: PLR0917 - one parameter per option
    body: BinaryIO, url: str, rate: float, seconds: float, connections: int, as_json: bool
) -> None:
    """Send the request BODY (`-` is standard input) again and again, and show latency by percentile.

    With --rate, a latency counts from when its request was due, so that one that waits behind a slow one counts too.

    Exits with 1 when a request was not answered with 200.
    """
    from cli import loadtest as load  # noqa: PLC0415 - only this command needs it

    wanted = load.Load(rate, seconds, connections)
    found = load.run(load.Target.of(url), body.read(), wanted)
    if as_json:
        click.echo(json.dumps(load.as_dict(found)))
    else:
        click.echo("\n".join(load.shown(found, wanted)))
    sys.exit(0 if set(found.statuses) == {200} and not found.unanswered else 1)


@main.command()
@click.option("--from", "start", type=Day(), default=None, help="First day, UTC. The default is the model's own.")
@click.option("--to", "end", type=Day(), default=None, help="Last day. The default is the last day of the data.")
@click.option(
    "--speed",
    type=Number(1),
    default=3600.0,
    show_default=True,
    help="How many seconds of events to send in a second.",
)
@click.option(
    "--rate",
    type=Number(0.1, 2000),
    default=None,
    help="How many requests to send in a second, instead of --speed.",
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
@_json
@click.pass_obj
def replay(  # noqa: PLR0917 - one parameter per option
    asked: Asked,
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

    --speed or --rate sets how fast. When it is told to stop (Ctrl-C, kill), it sends the labels that wait, and reports
    what it has sent so far. Where standard error is no terminal, and with --json, it prints a line there each ten
    seconds.

    Exits with 1 when a request failed.
    """
    from cli.labels import LateLabels, not_sent  # noqa: PLC0415 - only this command needs it
    from cli.replay import Pace, Report, events, run  # noqa: PLC0415
    from cli.replay_progress import bar, lines  # noqa: PLC0415

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
    report, stop, console = Report(), threading.Event(), Console(stderr=True)
    if console.is_terminal and not as_json:
        days = (start, after_end) if start and after_end else None
        shown = bar(report, console, limit=limit, days=days)
    else:
        shown = lines(report, rate, partial(click.echo, err=True))
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
        if as_json:
            click.echo(json.dumps(report.as_dict(), indent=2))
        else:
            page().print(report.table())
            if report.ended and report.last and (end is None or report.last.date() < end.date()):
                click.echo(f"the data ends there: the last event is of {report.last:%Y-%m-%d %H:%M} UTC", err=True)
        if late is not None and stop.is_set():
            late.hurry()
    if late is not None:
        without = report.answers["200"] - late.known
        click.echo(f"{late.sent:,} labels sent" + (f"; {without:,} answers have none" * bool(without)), err=True)
        if late.unsent:
            raise not_sent(late, ROOT / ".modelstack")
    sys.exit(1 if report.failed else 0)


@main.command()
@click.argument("file", type=click.File("rb"))
@click.pass_obj
def labels(asked: Asked, file: BinaryIO) -> None:
    """Send the true labels in FILE (`-` is standard input). They are joined with the answers that they are about.

    One line per label: {"inference_id": "order-17", "label": true}. The id is the InferenceId of the request. The label
    is what the model should have answered, or a list of labels if the request had several instances. You may send a
    label twice, and before or after its answer was captured. It counts once.
    """
    from cli.labels import read, upload  # noqa: PLC0415 - only this command needs it

    lines = read(file)
    for address in upload(find(asked), lines):
        click.echo(address)
    click.echo(f"{len(lines):,} labels sent", err=True)


@main.command()
@click.argument("action", type=click.Choice([*_LOOK, *retraining.ACTIONS]), default="status")
@click.option(
    "--reason", default="", help="Why. It is kept in the history. Every action except status and waiting needs it."
)
@_json
@click.pass_obj
def retrain(asked: Asked, action: str, reason: str, as_json: bool) -> None:
    """Show what was retrained and why, or act on it.

    start begins a retraining, whatever the cool-down and the budget say. approve and decline answer its question;
    decline also drops a candidate that waits. stop ends the job that runs. forget lets the config's window of training
    data count again. waiting exits with 0 when a candidate waits for `pulumi up`, with 3 when none
    does, and with another code when it is not known.
    """
    target = find(asked)
    if action in _LOOK:
        seen = retraining.look(target)
        if as_json:
            click.echo(json.dumps(seen.as_dict(), indent=2))
        elif action == "waiting":
            click.echo(retraining.waits(seen, target.commands))
        else:
            page().print(retraining.told(seen, target.commands))
        sys.exit(_NONE_WAITS if action == "waiting" and seen.waits is None else 0)
    if not reason.strip():
        raise OperatorError(f"retrain {action} needs a reason", f'Add --reason "...": {action} is kept with it.', 2)
    click.echo(retraining.ask(target, action, reason.strip()))


@main.command()
@click.argument("release")
@click.pass_obj
def clear(asked: Asked, release: str) -> None:
    """Let a rejected RELEASE be tried again by the next `pulumi up`.

    RELEASE is its id, or another of its names: variant, recipe or package digest.
    """
    target = find(asked)
    click.echo(f"{clear_rejection(target, release)} may be tried again: {target.commands.pulumi_up}")


@main.command("skip-trial")
@click.argument("release")
@click.option("--reason", type=Reason(), required=True, help="Why. It is kept with the verdict.")
@click.pass_obj
def skip_trial(asked: Asked, release: str, reason: str) -> None:
    """Let RELEASE take over at once in the next `pulumi up`, without a trial beside the champion.

    This is for a release that the last update could not put on trial, because the endpoint did not come up and it was
    not, or not surely, the fault of the release.
    """
    target = find(asked)
    let_skip(target, release, reason)
    click.echo(f"{release} takes over in the next `{target.commands.pulumi_up}`, without a trial")


@main.command()
@click.option("--reason", type=Reason(), required=True, help="Why. It is kept with the verdict.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--previous", is_flag=True, help="After a promotion: bring the previous champion back.")
@_json
@click.pass_obj
def rollback(asked: Asked, reason: str, yes: bool, previous: bool, as_json: bool) -> None:
    """Give the champion all traffic again, or after a promotion bring the previous champion back.

    With --yes, a champion is taken back only if --previous is given too. So the same command twice, or a command that
    comes just after the trial has ended, does not take back the release that it should protect.
    """
    target = find(asked)
    before = take(target)
    if not yes and not sys.stdin.isatty():
        raise OperatorError("rollback asks first, and there is no terminal to ask on", "Add --yes.", 2)
    what = to_take_back(before, previous=previous, sure=yes)
    if not yes:
        click.confirm(f"{what} on {target.endpoint}?", abort=True, err=True)
    outcome = roll_back(target, reason, before.challenger or before.champion)
    if as_json:
        click.echo(json.dumps(outcome, indent=2))
    else:
        page().print(f"{outcome['outcome'].replace('_', ' ')}: {outcome['text']}", markup=False)
        page().print(render.variants(take(target).variants))


@main.group(cls=click.Group)
def model() -> None:
    """Begin a model of one's own."""


@model.command("init")
@click.argument("estimator", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@click.argument("table", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@click.option("--label", required=True, help="The column with the true answers.")
@click.option(
    "--time", "at", default=None, help="The column with the time of each row, in ISO 8601; UTC without a zone."
)
@click.option("--id", "name", default=None, help="The column with a name for each row, another one for each.")
def init(estimator: Path, table: Path, label: str, at: str | None, name: str | None) -> None:
    """Write the files of `model/` from the fitted estimator ESTIMATOR and the CSV file TABLE, and build them.

    ESTIMATOR is a classifier or regressor of scikit-learn, a pipeline or a search that ends in one, written by
    joblib.dump. The file is unpickled, which runs what is in it: give only a file that you trust. The other columns of
    TABLE are the features. TABLE is copied into `data/`.

    What is written is Python source that makes an equal estimator, not fitted. It is built first: trained, evaluated
    and sealed, as `python -m pipeline build` does. Only then are the files written, and never over a model: `model/`
    must hold no file. At the end it prints what to type next, and what each further part of a model would buy.
    """
    from cli.init import start  # noqa: PLC0415 - only this command needs it
    from cli.init.report import told as report_of  # noqa: PLC0415

    given = start.Given(estimator, table, label, at, name)
    begun = start.init(ROOT, given, partial(click.echo, err=True))
    click.echo(report_of(begun, ROOT))


if __name__ == "__main__":
    main()
