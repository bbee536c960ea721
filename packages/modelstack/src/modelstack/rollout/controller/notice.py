"""Notifications of an event for people and programs: subject, text, JSON document, and attributes to filter by."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, get_args

from modelstack.forms import FORMS
from modelstack.rollout.controller.commands import PLAIN, Commands
from modelstack.rollout.core.decision import REQUESTS, Decision
from modelstack.rollout.core.event import Event
from modelstack.rollout.core.verdict import Outcome
from modelstack.rollout.kinds import Kind

Lack = Literal["requests", "labels", "evidence"]
"""What a trial waits for: requests, labels, or enough evidence."""

SUBJECT = 99  # SNS requires subjects of less than 100 characters

_REJECTED = (
    "the champion serves: `{modelstack} status` shows whether an alarm fires",
    "`{pulumi_up}` tries a release again when its recipe or image has changed",
    "`{modelstack} clear {release}` lets the same release be tried again",
)
_STEPS: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(("preparing", "weights", "replayed"), ("`{modelstack} watch` follows the trial",)),
    "reduced": (
        "find out why no counts come: Prometheus, or CloudWatch and the controller's rights (`{modelstack} status`)",
        "nothing else: the step begins again by itself once they come; without them the trial runs out of time",
        '`{modelstack} rollback --reason "..."` takes it back now',
    ),
    "paused": (
        '`{modelstack} approve --reason "..."` lets it go on',
        '`{modelstack} rollback --reason "..."` takes it back; so does an alarm, or the judge, while it waits',
    ),
    "held": (
        "it keeps its current share of traffic, and goes no further",
        '`{modelstack} approve --reason "..."` gives it as much time again; it decides nothing',
        '`{modelstack} rollback --reason "..."` takes it back; so does an alarm, or the judge',
    ),
    **dict.fromkeys(("promoting", "rolling_back", "restoring"), ("nothing to do: the endpoint is changing",)),
    "promoted": (
        "nothing to do",
        '`{modelstack} rollback --previous --reason "..."` takes it back for the champion before it, if there is one',
    ),
    "rolled_back": _REJECTED,
    "failed": (
        "the champion serves, if there is one; the release is not rejected",
        "`{pulumi_up}` tries it again, once what failed is put right",
        '`{modelstack} skip-trial {release} --reason "..."` lets the next `{pulumi_up}` release it without a trial',
    ),
    "withdrawn": ("nothing to do: the champion serves",),
    "left_to_judge": (
        "look for what both versions share (a dependency, the requests): the release is likely not the cause",
        "`{modelstack} watch` follows the trial: the judge compares both, and decides",
        '`{modelstack} rollback --reason "..."` takes it back all the same',
    ),
    "stranded": (
        "no release can be tried beside the champion until its instances start again",
        "put right why they do not (its archive, its image, the capacity), and release again with `{pulumi_up}`",
        "or let a release that was not tried take over: `{modelstack} skip-trial`",
    ),
    "not_serving": (
        "look why its instances are gone: `{modelstack} status` shows the reason",
        "`{pulumi_up} --refresh` makes again what was deleted",
    ),
    "untold": ("`{modelstack} explain` shows the last rollouts",),
    "superseded": ("nothing to do: `{modelstack} watch` follows the release that came after it",),
    "cleared": ("`{pulumi_up}` tries it again",),
    "skip_trial": ("`{pulumi_up}` lets it take over without a trial",),
    "restore": (
        "`{pulumi_up}` puts it on trial",
        '`{modelstack} restore --clear --reason "..."` lets the config count',
    ),
    "restore_lifted": ("`{pulumi_up}` releases what the config asks for",),
}


@dataclass(frozen=True)
class Notice:
    """An event as it is sent: `attributes` are for filter policies, `document` is for programs."""

    subject: str
    text: str
    attributes: Mapping[str, str]
    document: Mapping[str, Any]

    def by_protocol(self) -> str:
        """SNS's message of the structure `json`: queues and functions get the document, all others the text."""
        document = json.dumps(self.document)
        return json.dumps({"default": self.text, "email": self.text, "sqs": document, "lambda": document})


def notice(event: Event, endpoint: str, commands: Commands = PLAIN) -> Notice:
    """An event as it is sent."""
    what, why = event.what, event.reason.text if event.reason else ""
    release = release_of(event.rollout_id)
    outcome = event.kind if event.kind in get_args(Outcome) else ""
    when = datetime.fromtimestamp(event.at, UTC).isoformat(timespec="seconds")
    explain = f"`{commands.modelstack} explain {event.rollout_id}".rstrip()
    then = [*next_steps(event.kind, release, commands), f"{explain}` shows the numbers"]
    attributes = {"endpoint": endpoint, "kind": event.kind, "outcome": outcome, "rollout_id": event.rollout_id}
    document = {
        "version": FORMS["event"],
        **attributes,
        "outcome": outcome or None,
        "release": release,
        "at": when,
        "what": what,
        "why": why,
        "reason": event.reason.as_dict() if event.reason else None,
        "champion": event.champion or None,
        "numbers": dict(event.numbers),
        "weights": dict(event.weights),
        "next": then,
    }
    weights = ", ".join(f"{name} {weight}%" for name, weight in event.weights.items()) or "none were asked for"
    lines = [what, *([f"Why: {why}"] if why else []), ""]
    lines += [f"endpoint  {endpoint}", f"rollout   {event.rollout_id}", f"weights   {weights}", f"time      {when}", ""]
    lines += ["What to do next:", *(f"- {item}" for item in then)]
    return Notice(
        subject_of(f"{endpoint}: {what}"),
        "\n".join(lines),
        {name: value for name, value in attributes.items() if value},
        document,
    )


def subject_of(text: str) -> str:
    """A text as a mail's subject: one line of printable ASCII, shortened if too long."""
    line = " ".join(text.encode("ascii", "replace").decode().split())
    line = "".join(letter for letter in line if letter.isprintable())
    return line if len(line) <= SUBJECT else f"{line[: SUBJECT - 3]}..."


def next_steps(kind: str, release: str, commands: Commands = PLAIN) -> tuple[str, ...]:
    """What a person can do after an event or a verdict of this kind, the likeliest first; may be empty."""
    names = {"release": release, "modelstack": commands.modelstack, "pulumi_up": commands.pulumi_up}
    return tuple(step.format(**names) for step in _STEPS.get(kind, ()))


def release_of(rollout_id: str) -> str:
    """The release id of a rollout."""
    return rollout_id.partition("-")[2]


def doing(text: str, decision: Decision | None) -> str:
    """The present activity in one line; if anything is missing, it begins with `waiting for ...`."""
    what = lack(decision)
    return f"{waiting(what)}{text}" if what else text


def waiting(what: Lack) -> str:
    """The beginning of a line that says what a trial waits for."""
    return f"waiting for {what}: "


def lack(decision: Decision | None) -> Lack | None:
    """What a decision waits for; None when more observations do not help."""
    if decision is None or decision.action != "hold" or decision.reason.source not in {"judge", "replay"}:
        return None
    reason = decision.reason
    if reason.kind in {Kind.FEW_REQUESTS, Kind.REPLAY_UNCHECKED}:
        return "requests"
    if decision.findings is None or reason.name not in {finding.metric for finding in decision.findings.each}:
        return None
    if reason.kind in {Kind.OUT_OF_RANGE, Kind.COUNTED_LATE}:
        return None  # observations are wrong or uncounted: more of them do not help
    if reason.numbers.get("challenger_count"):
        return "evidence"
    of_requests = reason.facts["metric_kind"] == "quantile" or reason.name == REQUESTS or "expected" in reason.facts
    return "requests" if of_requests else "labels"
