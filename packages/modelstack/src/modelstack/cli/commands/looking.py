"""Read-only commands on an endpoint: status, watch, explain, console."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import click
from rich.console import Group

from modelstack.cli import agreement
from modelstack.cli import retrain as retraining
from modelstack.cli.errors import OperatorError
from modelstack.cli.options import Number, Whole, as_json_option
from modelstack.cli.page import page, say
from modelstack.cli.platform.choose import platform_of
from modelstack.cli.target_options import Command, TargetOptions, find
from modelstack.cli.view import budget, kept_aside, render, served, situation
from modelstack.cli.view.snapshot import SERVES, with_parts


@click.command(cls=Command)
@click.option("--all", "whole", is_flag=True, help="Show every table: alarms, quality and packages too.")
@as_json_option
@click.pass_obj
def status(asked: TargetOptions, whole: bool, as_json: bool) -> None:
    """Show what is wrong, since when, what was done and what to do; then what serves, and how well.

    It prints at most 25 lines. With --all: weights, availability and latency, what a trial waits for, the last
    verdict, retraining, error budgets, quality, bad input, alarms and packages. Alarms of versions that no longer
    serve are hidden.

    Exits with 1 when the endpoint is not in service or an alarm fires, and otherwise with 3 when a part cannot be read.
    """
    from modelstack.cli.view.watching import Looks  # noqa: PLC0415 - it loads the judge, which few commands need

    target = find(asked)
    seen = Looks(target)()
    variants = [row.name for row in seen.variants]
    platform = platform_of(target)
    parts: dict[str, Callable[[], Any]] = {
        "served": lambda: served.read(target, variants),
        "budgets": lambda: budget.read(target),
        "quality": lambda: platform.quality(variants),
        "delay_s": platform.delay,
        "aside": lambda: kept_aside.read(target),
        "retraining": lambda: retraining.line(retraining.look(target), target.commands),
        "agreement": lambda: agreement.line(target),
    }
    if whole or seen.firing or seen.deleted:
        parts["stopped"] = platform.stopped
    seen = with_parts(seen, parts)
    found = situation.read(target, seen)
    if as_json:
        say(json.dumps({**seen.as_dict(), "situation": asdict(found)}, indent=2))
    elif whole:
        page().print(Group(*render.situation(found), render.snapshot(seen)))
    else:
        page().print(render.Brief(seen, found))
    sys.exit(1 if seen.status not in SERVES or seen.firing else 3 if seen.unread else 0)


@click.command(cls=Command)
@click.argument("rollout", required=False)
@click.option("--every", type=Number(0.5, 60), default=1.0, show_default=True, help="Look again after so many seconds.")
@click.option("--for", "seconds", type=Number(0), default=0.0, help="Stop after so many seconds; 0 means never.")
@click.option("--until-verdict", is_flag=True, help="Stop when the trial has ended, or when a person must decide.")
@click.option(
    "--next", "next_one", is_flag=True, help="Wait for the release that the next `pulumi up` from here would begin."
)
@as_json_option
@click.pass_obj
def watch(  # noqa: PLR0917 - one parameter per option
    asked: TargetOptions,
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

    With none of ROLLOUT, --next, --until-verdict and --for, it goes on until Ctrl-C: after a verdict too, and where
    nothing is on trial.

    Exits with 0 when the release was promoted, or when the time of --for is over and nothing is on trial, 1 when it was
    rolled back or failed, 4 when a person must decide (an approval, or a trial that is held), 5 when the time is over
    and the trial goes on, or has not begun, and 6 when it was withdrawn or superseded. A release that already serves
    ends it with 0, and one that was already rejected with 1, at once; standard error says so. With --until-verdict, 2
    when nothing is on trial and none is named: a verdict from before is no answer.
    """
    from modelstack.cli import next_release  # noqa: PLC0415 - only this command needs it
    from modelstack.cli.view.awaited import Awaited  # noqa: PLC0415
    from modelstack.cli.view.watching import Looks  # noqa: PLC0415
    from modelstack.cli.view.watching import watch as look_on  # noqa: PLC0415

    if next_one and rollout:
        raise OperatorError("--next and ROLLOUT both say what to wait for", "Give one of them.", 2)
    target = find(asked)
    if next_one:
        rollout = next_release.id_of(target)
        say(f"the next update releases {rollout}", err=True)
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


@click.command(cls=Command)
@click.argument("rollout", required=False)
@as_json_option
@click.pass_obj
def explain(asked: TargetOptions, rollout: str | None, as_json: bool) -> None:
    """Explain why a rollout ended as it did, with the numbers, and what to do next. For a trial: what it waits for.

    The first lines are those of `modelstack status`. While an alarm fires, the next steps are those against it.

    ROLLOUT is the id of a rollout or of its release. The default is the trial under way, or else the last one.
    """
    from modelstack.cli.view.explain import explain as story_of  # noqa: PLC0415 - only this command needs it
    from modelstack.cli.view.narrate import told  # noqa: PLC0415
    from modelstack.cli.view.watching import Looks  # noqa: PLC0415

    target = find(asked)
    looks = Looks(target, with_packages=False)
    seen = looks()
    if seen.firing or seen.deleted:
        seen = with_parts(seen, {"stopped": platform_of(target).stopped})
    story = story_of(looks.state, looks.decision, time.time(), rollout, target.commands)
    found = situation.read(target, seen)
    if as_json:
        now = {"endpoint_status": seen.status, "serving": [asdict(item) for item in seen.variants]}
        say(json.dumps({**story.as_dict(), **now, "situation": asdict(found)}, indent=2))
    else:
        page().print(told(story, seen, found))


@click.command(cls=Command)
@click.option(
    "--port", type=Whole(0, 65535), default=4580, show_default=True, help="The port on 127.0.0.1; 0 takes a free one."
)
@click.pass_obj
def console(asked: TargetOptions, port: int) -> None:
    """Show dashboard, rollout, alarms, registry and a comparison in a browser, with live data, until Ctrl-C.

    It only reads: nothing can be changed there.
    """
    from modelstack.cli.console.pages import Pages  # noqa: PLC0415 - only this command needs it
    from modelstack.cli.console.serve import ConsoleServer  # noqa: PLC0415

    ConsoleServer(Pages(find(asked)), port).run(lambda address: say(f"{address}  (Ctrl-C ends it)"))
