"""What is wrong, since when, what was done, and what to do: the first lines of `status`, `explain` and each page."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

from modelstack.cli.errors import OperatorError
from modelstack.cli.platform.facts import AlarmView, ServedView, measured
from modelstack.cli.target import Target
from modelstack.cli.view import served
from modelstack.cli.view.snapshot import SERVES, Snapshot, subject
from modelstack.cli.view.times import duration, when
from modelstack.cli.view.trial import TrialView
from modelstack.monitoring.objectives.slo import OBJECTIVE
from modelstack.services.declaration.alarm_names import (
    FAILING,
    FAILS,
    METRIC,
    PROBE,
    RETRAIN,
    ROLLBACK,
    SILENT,
    measure_of,
)

_LISTED = 2  # further firing alarms, and names of those without data
_LONGEST = 200  # characters of an alarm's or a verdict's reason
_WORTH = 0.01  # share of failed requests that is worth a headline
_BEFORE = timedelta(minutes=1)  # an alarm fires after the first bad requests
_BACK = timedelta(days=14)  # CloudWatch keeps the counts of a minute for 15
_RECOVER = "docs/how-to/recover.md#the-journal-does-not-know-what-serves"
_CHANGING = ("rolling_back", "restoring", "promoting")


@dataclass(frozen=True)
class Situation:
    """The state of an endpoint in a few sentences.

    Attributes:
        state: `wrong`: an alarm fires, or the endpoint does not answer. `unknown`: none fires, but not all is watched.
        what: What is wrong, and since when.
        facts: Which alarms fire, what serves since when, and what was done.
        next: What a person can do, the likeliest first.
        runbook: The runbook's section on the most urgent alarm; empty if none fires.
    """

    state: Literal["wrong", "unknown", "well"]
    what: str
    facts: tuple[str, ...]
    next: tuple[str, ...]
    runbook: str = ""


def read(target: Target, seen: Snapshot) -> Situation:
    """The situation, with the requests that failed since an alarm on them began to fire."""
    began = min((alarm.since for alarm in seen.firing if alarm.since and _on_answers(alarm, seen)), default="")
    if not began:
        return situation(seen)
    end = datetime.fromisoformat(seen.at)
    start = max(datetime.fromisoformat(began) - _BEFORE, end - _BACK).astimezone(UTC).replace(second=0)
    try:
        counted = served.between(target, [row.name for row in seen.variants], start, end)
    except OperatorError:  # the alarms are known all the same
        counted = ()
    return situation(seen, counted, start.isoformat(timespec="seconds"))


def situation(seen: Snapshot, counted: Sequence[ServedView] = (), start: str = "") -> Situation:
    """The situation; `counted` are the requests of each variant from `start` on. Pure."""
    firing = sorted(seen.firing, key=lambda item: (item.severity != "page", not _on_answers(item, seen), item.name))
    unknown = [_short(item, seen) for item in seen.alarms if item.state == "INSUFFICIENT_DATA"]
    down = _down(seen) or _unknown_to_journal(seen)
    failing = _failing(seen, firing, counted, start)
    others = firing if failing or down else firing[1:]
    names = [name.removeprefix(f"{seen.endpoint}-") for name in seen.deleted]
    gone = f"Deleted alarms, which roll nothing back: {_few(names)}." if names else ""
    stopped = "; ".join(seen.stopped)
    unread = [f"Part of this is not known: {why.removesuffix('.')}." for why in list(seen.unread.values())[:1]]
    if down:
        what = down
    elif firing:
        what = failing or _fires(firing[0], seen)
    elif stopped:
        what, stopped = f"No alarm fires, but {stopped}.", ""
    elif seen.deleted:
        what, gone = f"No alarm fires, but these were deleted and roll nothing back: {_few(names)}.", ""
    elif unknown:
        what = f"No alarm fires, but {len(unknown)} of {len(seen.alarms)} have no data: {_few(unknown)}."
    else:
        what = "No alarm fires." if seen.alarms else "No alarm watches this endpoint."
    unsure = unknown or seen.deleted or seen.stopped or unread
    more = [f"{len(others) - _LISTED} more alarms fire."] if len(others) > _LISTED else []
    facts = [failing] * bool(down and failing) + [_fires(item, seen) for item in others[:_LISTED]] + more
    return Situation(
        "wrong" if firing or down else "unknown" if unsure or not seen.alarms else "well",
        what,
        (
            *facts,
            *[f"Does not run: {stopped}."] * bool(stopped),
            *[gone] * bool(gone),
            *unread,
            *_releases(seen),
            *_done(seen),
        ),
        tuple(_next(seen, firing)),
        next((item.runbook for item in firing if item.runbook), ""),
    )


def _down(seen: Snapshot) -> str:
    """That the endpoint, or the champion, does not answer; empty if it does."""
    if seen.status not in SERVES and seen.champion is not None:
        return f"The endpoint does not answer: its status is {seen.status}."
    lost = _without_instances(seen)
    return f"Champion {lost} has no ready instance, so its requests fail: {seen.detail}." if lost else ""


def _unknown_to_journal(seen: Snapshot) -> str:
    """That something serves although the journal knows no release; empty otherwise."""
    serving = [row.name for row in seen.variants if row.weight]
    if seen.champion is not None or not serving:
        return ""
    return f"{_few(serving)} serves, but the journal is empty: it was lost. Nothing is rolled back or released."


def _without_instances(seen: Snapshot) -> str:
    """The champion's variant if it has no ready instance; else empty."""
    each = (row for row in seen.variants if row.role == "champion" and row.weight and not row.instances)
    return next((row.name for row in each), "")


def _on_answers(alarm: AlarmView, seen: Snapshot) -> bool:
    return measure_of(alarm.name) in ROLLBACK or _short(alarm, seen).startswith(f"{OBJECTIVE}-")


def _short(alarm: AlarmView, seen: Snapshot) -> str:
    return alarm.name.removeprefix(f"{seen.endpoint}-")


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:_LISTED]) + (f" and {len(names) - _LISTED} more" if len(names) > _LISTED else "")


def _fires(alarm: AlarmView, seen: Snapshot) -> str:
    since = f" since {when(alarm.since, seen.at)}" if alarm.since else ""
    why = textwrap.shorten(alarm.brief, _LONGEST, placeholder=" ...")
    return f"Alarm {_short(alarm, seen)} fires{since}{f': {why}' if why else ''}."


def _failing(seen: Snapshot, firing: Sequence[AlarmView], counted: Sequence[ServedView], start: str) -> str:
    """How many requests fail since when; empty without an alarm on them, or where few do."""
    of = {subject(item, seen.endpoint) for item in firing if measure_of(item.name) == FAILS}
    variant = of.pop() if len(of) == 1 and len(seen.variants) > 1 else ""
    rows = [row for row in counted if variant in ("", row.variant)]
    requests, failed = sum(row.requests for row in rows), sum(row.failed for row in rows)
    if not start or not requests or failed < _WORTH * requests:
        return ""
    role = next((row.role for row in seen.variants if row.name == variant), "")
    whose = f" to {role} {variant}" if variant else ""
    share = f"{failed / requests:.{0 if failed > requests / 10 else 1}%}"
    return f"{share} of the requests{whose} fail since {when(start, seen.at)}: {failed:,} of {requests:,}."


def _releases(seen: Snapshot) -> list[str]:
    if seen.champion is None:
        return [] if _unknown_to_journal(seen) else ["Nothing was released yet."]
    since = f" since {when(seen.champion_since, seen.at)}" if seen.champion_since else ""
    before = f"; before it: {seen.previous}" if seen.previous else ""
    found = [f"Champion {seen.champion}{since}{before}."]
    if seen.trial:
        share = next((row.copies or row.weight for row in seen.variants if row.role == "challenger"), 0.0)
        step = f", step {seen.trial.step} of {seen.trial.steps}" if seen.trial.step else ""
        waits = seen.trial.waits_for.removesuffix(".")
        found.append(f"On trial: {seen.trial.challenger} at {share:.0f}%{step}: {waits}.{_ends(seen.trial)}")
    return found


def _ends(trial: TrialView) -> str:
    """What happens without a verdict; nothing while the time stands still."""
    if trial.seconds_left is None or trial.approval:
        return ""
    outcome = "rolled back" if trial.on_timeout == "roll_back" else "held"
    return f" Without a verdict it is {outcome} in {duration(trial.seconds_left)}."


def _done(seen: Snapshot) -> list[str]:
    """The last verdict, unless it made the champion; of a deciding alarm its value then and now; and the one before."""
    ended = seen.verdict
    if seen.phase in _CHANGING and seen.events:
        return [f"Under way since {when(seen.events[-1].at, seen.at)}: {seen.events[-1].text}."]
    if ended is None or (ended["outcome"], ended["release"]) == ("promoted", seen.champion):
        return []
    numbers, text = ended["reason"]["numbers"], textwrap.shorten(ended["text"], _LONGEST, placeholder=" ...")
    if ended["source"] == "alarm" and "value" in numbers:
        then = measured(ended["name"], numbers["value"], numbers.get("threshold"))
        alarm = next((item for item in seen.alarms if item.name == ended["name"]), None)
        states = {"OK": "it no longer fires", "ALARM": f"now {alarm.brief}" if alarm else ""}
        now = states.get(alarm.state, "now it has no data") if alarm else "that version serves no more"
        text = f"alarm {ended['name'].removeprefix(f'{seen.endpoint}-')}: then {then}; {now}"
    outcome = "failed" if ended["outcome"] == "failed" else f"was {ended['outcome'].replace('_', ' ')}"
    return [f"{ended['release']} {outcome} {when(ended['at'], seen.at)}: {text}.", *_before(seen)]


def _before(seen: Snapshot) -> list[str]:
    """The rollback of a challenger, if that of its champion followed."""
    ends = [event for event in seen.events if event.kind in {"promoted", "rolled_back"}][-2:]
    if [event.kind for event in ends] != ["rolled_back"] * 2 or not ends[1].champion:
        return []
    text = textwrap.shorten(ends[0].text.replace(f"{seen.endpoint}-", ""), _LONGEST, placeholder=" ...")
    return [f"Before that, {when(ends[0].at, seen.at)}: {text}."]


def _next(seen: Snapshot, firing: Sequence[AlarmView]) -> list[str]:
    command = seen.commands.modelstack
    if seen.phase in _CHANGING:
        return [f"`{command} watch --until-verdict` follows the change of traffic that is under way"]
    if _unknown_to_journal(seen):
        return [f"restore the journal, or release what serves: {_RECOVER}"]
    steps = [f"`{seen.commands.pulumi_up} --refresh` makes again what was deleted"] * bool(
        _without_instances(seen) or seen.deleted or seen.stopped
    )
    silent = any(_short(item, seen) == f"{PROBE}-{SILENT}" for item in firing)
    if silent:
        steps.append(f"`{command} invoke model/example_request.json` shows whether the endpoint answers")
    if any(_on_answers(item, seen) for item in firing):
        if seen.challenger:
            steps.append(f'`{command} rollback --reason "..."` gives champion {seen.champion} all traffic')
        elif seen.previous:
            back = f"brings {seen.previous} back, if it began with {seen.champion}"
            steps.append(f'`{command} rollback --previous --reason "..."` {back}')
        elif not silent:
            fixed = f"`{seen.commands.pulumi_up}` puts a fixed version on trial"
            steps.append(f"read the log of {seen.champion}'s container; {fixed}")
    measures = {measure_of(item.name) for item in firing}
    if measures & {*RETRAIN}:
        steps.append(
            f"`{command} console` shows what moved; fix the sender of requests or labels, or train on newer data"
        )
    own = sorted(item.removeprefix(METRIC) for item in measures if item.startswith(METRIC))
    if own:
        steps.append(
            f"`{command} status --all` shows {_few(own)} of each version; `{command} explain`, what was released"
        )
    if FAILING in measures and not seen.stopped:
        log = "the controller's log" if seen.namespace else f"the log /aws/lambda/{seen.endpoint}"
        steps.append(f"read {log}, which says why")
    if seen.trial and seen.phase in {"paused", "held"}:
        more = "lets it take its next step" if seen.trial.approval else "gives it more time"
        steps.append(f'`{command} approve --reason "..."` {more}')
    first = seen.champion is None and f"`{seen.commands.pulumi_up}` releases the first version"
    return steps or [first or f"`{command} explain` shows the last decision with its numbers"]
