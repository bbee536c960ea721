"""Controllers in processes that are killed after each new kind of effect.

    python packages/modelstack/tests/conformance/mortal.py < what.json     # prints the exit status of each process; -9
    if it was killed

Every call that changes something kills the process with SIGKILL right after the platform has performed it, once per
kind, which a file records. So a row is killed between any two steps, and the last process finishes.

They are forked from a process that has imported everything, which takes longer than most of them live.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

from modelstack.rollout.controller.controller import Controller
from modelstack.rollout.core.plan import Plan
from modelstack.rollout.core.release import Release
from modelstack.rollout.core.state import RolloutState
from modelstack.rollout.core.transitions import Rejected
from modelstack.rollout.reason import Reason
from tests.conformance.stage import PATIENCE, FaultStage, Killed

Die = Callable[[str], None]  # called after an effect of this kind


def run(module: str, where: Mapping[str, Any], stage: FaultStage, asked: Killed) -> tuple[list[int], int]:
    with tempfile.TemporaryDirectory() as folder:
        marks = Path(folder) / "marks"
        marks.touch()
        told = json.dumps({**orders(stage, asked), "module": module, "where": dict(where), "marks": str(marks)})
        done = subprocess.run(
            [sys.executable, __file__],
            input=told,
            text=True,
            capture_output=True,
            timeout=PATIENCE,
            check=False,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        assert done.returncode == 0, done.stderr
        ends = [int(line) for line in done.stdout.split()]
        assert {*ends} <= {0, 1, -signal.SIGKILL}, done.stderr
        return ends, len(marks.read_text().splitlines())


def orders(stage: FaultStage, asked: Killed) -> dict[str, Any]:
    return {
        "does": asked.does, "release": stage.releases["challenger"].as_dict(),
        "pair": stage.pair("champion", "challenger"),
        "shadow": stage.shadow("champion", "challenger") if asked.plan.steps[0].shadow else None,
        "plan": asked.plan.as_dict(),
    }  # fmt: skip


def once_each(marks: Path) -> Die:
    """Kills this process, once for each kind."""

    def die(kind: str) -> None:
        mark = f"{kind}\n"
        if mark in marks.read_text():
            return
        with marks.open("a") as file:
            file.write(mark)
        os.kill(os.getpid(), signal.SIGKILL)

    return die


def of_state(state: Mapping[str, Any]) -> str:
    """What tells one write to the journal from another: what it says, but not when, nor how often."""
    events = [event["kind"] for event in state["outbox"]]
    told = [state[name] > 0 for name in ("moves", "claimed_at")]
    return json.dumps([state["phase"], state["step"], len(state["step_starts"]), *told, events])


def carry_on(asked: Any, controller: Controller) -> int:
    """Release, or take the release back after its promotion, and follow the rollout; 0 when it came to its end."""
    release, plan = Release.from_dict(asked["release"]), Plan.from_dict(asked["plan"])
    if asked["does"] == "restore":
        controller.roll_back(Reason("person", "ada", "it sells less"), meant=release.id)
    else:
        with suppress(Rejected):
            controller.release(release, asked["pair"], plan, shadow_config=asked["shadow"])
    state: RolloutState = controller.follow(60, poll=0.3)
    return 0 if state.at_rest else 1


def in_a_process(asked: Any, controller: Callable[[], Controller]) -> int:
    process = os.fork()
    if process == 0:
        status = 1
        try:
            status = carry_on(asked, controller())
        except Exception:
            traceback.print_exc()
        os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def main() -> None:
    asked = json.load(sys.stdin)
    controllers: Callable[[Any, Die], Callable[[], Controller]] = import_module(asked["module"]).controllers
    controller = controllers(asked["where"], once_each(Path(asked["marks"])))
    while (status := in_a_process(asked, controller)) != 0:
        print(status, flush=True)
        time.sleep(0.2)
    print(status)


if __name__ == "__main__":
    main()
