"""An update's events, as a person sees them."""

from __future__ import annotations

import io
import json
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from modelstack.cli.local.progress import Follower, follow
from modelstack.cli.local.stack import Stack
from modelstack.rollout.controller.notice import doing, waiting
from modelstack.rollout.core.decision import TrialObservations, decide
from modelstack.rollout.core.plan import Plan, Step
from modelstack.rollout.core.state import Phase, RolloutState
from tests.rollout.worlds import release as make_release

URN = "urn:pulumi:local::modelstack::aws:sagemaker/endpoint:Endpoint::serving"


class Recorder:
    def __init__(self) -> None:
        self.shown: list[str] = []

    def update(self, status: str) -> None:
        self.shown.append(status)


@pytest.fixture
def console() -> Console:
    return Console(file=io.StringIO(), width=200, highlight=False)


@pytest.fixture
def follower(console: Console) -> Follower:
    return Follower(console, Recorder())


def text(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def step(kind: str, op: str, urn: str = URN, custom: bool = True) -> dict[str, Any]:
    type_name = urn.split("::")[2].rpartition("$")[2]
    return {kind: {"metadata": {"op": op, "urn": urn, "type": type_name, "new": {"custom": custom}}}}


def said(message: str, severity: str = "info", **more: Any) -> dict[str, Any]:
    return {"diagnosticEvent": {"message": message, "severity": severity, **more}}


def test_what_a_policy_forbids_is_an_error_and_what_one_tells_is_not(console: Console, follower: Follower) -> None:
    for level in ("mandatory", "advisory"):
        found = {"policyName": f"{level}-rule", "message": "Stacks are good.\nit: bad.\n", "enforcementLevel": level}
        follower.event({"policyEvent": found})
    assert follower.outcome.errors == ["policy mandatory-rule: Stacks are good.\nit: bad."]
    assert text(console) == ""


def test_a_resource_that_changes_is_shown_when_it_is_done_by_its_type_and_name_and_changes_are_counted(
    console: Console,
) -> None:
    status = Recorder()
    follower = Follower(console, status)
    parent = "urn:pulumi:local::modelstack::modelstack:index:Serving::serving"
    for kind in ("resourcePreEvent", "resOutputsEvent"):
        follower.event(step(kind, "same"))
        follower.event(step(kind, "create", parent, custom=False))  # it only groups others
    follower.event(step("resourcePreEvent", "create"))
    assert text(console) == ""
    assert status.shown[-1].startswith("sagemaker Endpoint serving (0 s)")
    follower.event(step("resOutputsEvent", "create"))
    assert "+ sagemaker Endpoint serving created" in text(console)
    follower.event({"summaryEvent": {"resourceChanges": {"create": 2, "update": 1, "same": 7}}})
    assert follower.outcome.changed == 3


PACKAGE, ROLLOUT = (
    f"urn:pulumi:local::modelstack::pulumi-python:dynamic/modelstack:{kind}::flights" for kind in ("Package", "Rollout")
)


@pytest.mark.parametrize(
    ("urn", "outputs", "told"),
    [
        (PACKAGE, {"refused": "data refused: no rows"}, "x Package flights not made"),
        (PACKAGE, {"refused": ""}, "~ Package flights updated"),
        (ROLLOUT, {"outcome": "rolled_back"}, "x Rollout flights rolled back"),
        (ROLLOUT, {"outcome": "failed"}, "x Rollout flights failed"),
        *((ROLLOUT, {"outcome": one}, "~ Rollout flights updated") for one in ("promoted", "waiting", None)),
        (URN, {"outcome": "failed"}, "~ sagemaker Endpoint serving updated"),
    ],
)
def test_what_came_to_nothing_is_not_said_to_be_updated_though_the_engine_keeps_its_record(
    console: Console, follower: Follower, urn: str, outputs: dict[str, Any], told: str
) -> None:
    follower.event(step("resourcePreEvent", "update", urn))
    after = step("resOutputsEvent", "update", urn)
    after["resOutputsEvent"]["metadata"]["new"]["outputs"] = outputs
    follower.event(after)
    assert text(console).split("  ")[1].strip() == told


def test_what_the_program_says_is_shown_and_its_errors_are_kept_for_the_end(
    console: Console, follower: Follower
) -> None:
    follower.event(said("10% of traffic for 30 s\n"))
    follower.event(said("registering resource", "debug"))
    follower.event(said("be careful", "warning"))
    follower.event(said("rolled back: [5xx] 0.5 > 0.05\n  at once", "error"))
    assert "10% of traffic for 30 s" in text(console)
    assert "registering" not in text(console)
    assert "! be careful" in text(console)
    assert follower.outcome.errors == ["rolled back: [5xx] 0.5 > 0.05\n  at once"]


def without_traffic(seconds: float) -> str:
    plan = Plan(steps=(Step(10, 30), Step(50, 30)), min_requests=50)
    champion, challenger = map(make_release, "ab")
    state = RolloutState(
        "e", phase=Phase.BAKING, champion=champion, challenger=challenger, plan=plan, step=0, step_starts=(100.0,),
        started_at=100.0,
    )  # fmt: skip
    decision = decide(plan, state, TrialObservations(()), 100.0 + seconds)
    return doing(decision.reason.text, decision)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, which stands still until it is set."""
    clock = [0.0]
    monkeypatch.setattr("modelstack.cli.local.progress.time.monotonic", lambda: clock[0])
    return clock


def test_off_a_terminal_it_says_what_is_waited_for_and_how_to_send_requests(
    console: Console, clock: list[float], follower: Follower
) -> None:
    follower.event(step("resourcePreEvent", "update"))
    for seconds in range(60):
        clock[0] += 1
        follower.event(said(without_traffic(seconds), ephemeral=True))
    lines = [line.strip() for line in text(console).splitlines()]
    assert lines[:2] == ["· baked 0 s of 30 s", "· baked 20 s of 30 s"]
    del lines[0]
    assert lines[1] == (
        "· waiting for requests: too little traffic: the challenger answered 0 of at least 50 requests in this step"
    )
    assert lines[2] == lines[1]
    assert "modelstack replay" in lines[3]
    assert len(lines) == 4  # not a line a look


@pytest.mark.parametrize("what", ["requests", "evidence"])
def test_while_requests_arrive_it_does_not_say_how_to_send_some(
    console: Console, clock: list[float], follower: Follower, what: Any
) -> None:
    follower.event(step("resourcePreEvent", "update"))
    for seconds in range(300):
        clock[0] += 1
        if seconds % 10 == 0:  # a window has closed
            follower.event(said(f"{waiting(what)}{seconds} of them", ephemeral=True))
        follower.tick()
    assert "modelstack replay" not in text(console)
    assert waiting(what) in text(console)
    clock[0] += 30  # and then none does any more
    follower.tick()
    assert text(console).count("modelstack replay") == 1


def test_what_is_waited_for_is_said_again_after_a_while(
    console: Console, clock: list[float], follower: Follower
) -> None:
    for _ in range(300):
        clock[0] += 1
        follower.event(said(without_traffic(60), ephemeral=True))
    assert text(console).count("waiting for requests: too little traffic") == 15
    assert text(console).count("modelstack replay") == 3


def test_off_a_terminal_a_step_that_says_nothing_new_is_told_of_all_the_same(
    console: Console, clock: list[float], follower: Follower
) -> None:
    follower.event(step("resourcePreEvent", "update"))
    follower.event(said("last verdict: release a rolled back"))
    for second in range(1, 100):
        clock[0] = float(second)
        if second == 30:
            follower.event(said("the endpoint is changing: changing", ephemeral=True))
        follower.tick()
    assert [line.strip() for line in text(console).splitlines()] == [
        "· last verdict: release a rolled back",
        "· sagemaker Endpoint serving (20 s)",
        "· the endpoint is changing: changing",
        "· sagemaker Endpoint serving (50 s): the endpoint is changing: changing",
        "· sagemaker Endpoint serving (70 s): the endpoint is changing: changing",
        "· sagemaker Endpoint serving (90 s): the endpoint is changing: changing",
    ]


def test_on_a_terminal_the_status_line_keeps_what_is_waited_for(clock: list[float]) -> None:
    console, status = Console(file=io.StringIO(), width=200, force_terminal=True), Recorder()
    follower = Follower(console, status)
    follower.event(step("resourcePreEvent", "update"))
    follower.event(said(without_traffic(60), ephemeral=True))
    clock[0] += 30
    follower.tick()
    assert "the challenger answered 0 of at least 50 requests" in status.shown[-1]
    assert text(console).count("modelstack replay") == 1
    assert "waiting for" not in text(console)
    follower.event(step("resOutputsEvent", "update"))
    assert status.shown[-1] == "working"


@pytest.mark.parametrize(
    ("words", "option"),
    [
        (f"{waiting('requests')}nothing that anybody said before", "--rate 25"),
        (f"{waiting('evidence')}nothing that anybody said before", "--rate 25"),
        (f"{waiting('labels')}nothing that anybody said before", "--labels-after 5"),
        ("too little traffic to bake a cake", ""),
        ("not yet known: the pivot", ""),
    ],
)
def test_it_says_how_to_send_what_is_waited_for_however_the_judge_words_it(
    console: Console, clock: list[float], follower: Follower, words: str, option: str
) -> None:
    follower.event(said(words, ephemeral=True))
    clock[0] += 200
    follower.tick()
    advice = [line for line in text(console).splitlines() if "modelstack replay" in line]
    assert [line.endswith(option) for line in advice] == [True] * bool(option)


@pytest.fixture
def pulumi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A `pulumi` on PATH that runs the script `behave`, the path of its event log in $LOG."""
    command = tmp_path / "pulumi"
    command.write_text(
        f'#!/bin/sh\nfor word; do [ "$last" = --event-log ] && LOG=$word; last=$word; done\n. {tmp_path}/behave\n'
    )
    command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    return tmp_path / "behave"


@pytest.mark.slow
def test_events_are_shown_as_they_come_and_the_exit_code_is_kept(
    pulumi: Path, console: Console, tmp_path: Path
) -> None:
    first, second = json.dumps(said("first")), json.dumps(said("second"))
    # The second line comes in two pieces.
    pulumi.write_text(
        f"echo '{first}' >>$LOG; sleep 0.3\n"
        f"printf '%s' '{second[:20]}' >>$LOG; sleep 0.3; echo '{second[20:]}' >>$LOG; exit 3"
    )
    outcome = follow(console, Stack("local", root=tmp_path), "up", log=tmp_path / "up.log")
    assert text(console).index("first") < text(console).index("second")
    assert outcome.code == 3


def test_a_refusal_before_any_event_is_told_in_the_clis_words(pulumi: Path, console: Console, tmp_path: Path) -> None:
    pulumi.write_text("echo 'warning: old'; echo 'error: no stack named local found' >&2; exit 255")
    outcome = follow(console, Stack("local", root=tmp_path), "up", log=tmp_path / "up.log")
    assert outcome.errors == ["no stack named local found"]


def watching() -> bool:
    frame = sys._current_frames()[threading.main_thread().ident or 0]
    return frame.f_code.co_name == "pulumi"


@pytest.mark.slow
def test_one_ctrl_c_is_passed_on_once_and_the_end_is_waited_for(pulumi: Path, console: Console, tmp_path: Path) -> None:
    marks = tmp_path / "marks"
    pulumi.write_text(
        f"trap 'echo int >>{marks}' INT; touch {tmp_path}/ready\n"
        f"until [ -s {marks} ]; do sleep 0.1; done; sleep 0.5; echo ended >>{marks}; exit 1"
    )

    def interrupt() -> None:
        while not ((tmp_path / "ready").exists() and watching()):
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt, daemon=True).start()
    outcome = follow(console, Stack("local", root=tmp_path), "up", log=tmp_path / "up.log")
    assert outcome.interrupted
    assert marks.read_text().split() == ["int", "ended"]
