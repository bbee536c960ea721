"""Controllers, each in a process of its own that is killed after a kind of effect that has killed none before.

    python tests/conformance/mortal.py < what.json     # prints the status of each process; -9 of one that was killed

Every call that changes something kills the process with SIGKILL right after the cloud has performed it, unless one of
the same kind has killed a process before: those are kept in a file. So a row of such processes is killed between any
two steps, and the one that finds no new step comes to the end.

The processes are forked from one that has imported everything, which takes longer than most of them live.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import sys
import time
import traceback
from contextlib import suppress
from pathlib import Path
from typing import Any

from platforms.aws.clients import clients
from platforms.aws.endpoint import controller_with
from rollout.core.plan import Plan
from rollout.core.release import Release
from rollout.core.transitions import Rejected
from rollout.reason import Reason

CHANGES = frozenset(
    {"PutItem", "UpdateEndpoint", "UpdateEndpointWeightsAndCapacities", "UpdateModelPackage", "Publish"}
)
SERVICES = ("cloudwatch", "dynamodb", "sagemaker", "sns")


def mortal(region: str, marks: Path) -> Any:
    """Clients by service whose changes kill the process, once each."""
    make = clients(region)
    asked: dict[str, str] = {}

    def before(model: Any, params: dict[str, Any], **_: Any) -> None:
        asked[model.name] = kind(model.name, params["body"])

    def after(model: Any, **_: Any) -> None:
        mark = f"{model.name} {asked[model.name]}\n"
        if model.name not in CHANGES or mark in marks.read_text():
            return
        with marks.open("a") as file:
            file.write(mark)
        os.kill(os.getpid(), signal.SIGKILL)

    made: dict[str, Any] = {}

    def client(service: str) -> Any:
        if service not in made:
            made[service] = make(service)
            made[service].meta.events.register("before-call.*.*", before)
            made[service].meta.events.register("after-call.*.*", after)
        return made[service]

    return client


def kind(operation: str, body: Any) -> str:
    """What tells one step from another: of a write to the journal what it says, but not when, nor how often."""
    if operation == "Publish":
        return "any"  # all events of an outbox are sent in one go
    if operation != "PutItem":
        return hashlib.sha256(str(body).encode()).hexdigest()
    state = json.loads(json.loads(body)["Item"]["state"]["S"])
    events = [event["kind"] for event in state["outbox"]]
    told = [state[name] > 0 for name in ("moves", "claimed_at")]
    return json.dumps([state["phase"], state["step"], len(state["step_starts"]), *told, events])


def carry_on(asked: Any, make: Any) -> int:
    """Release, or take the release back after its promotion, and follow the rollout; 0 when it came to its end."""
    controller = controller_with(make, asked["endpoint"], asked["table"], by="test", topic=asked["topic"])
    release, plan = Release.from_dict(asked["release"]), Plan.from_dict(asked["plan"])
    if asked["does"] == "restore":
        controller.roll_back(Reason("person", "ada", "it sells less"), meant=release.id)
    else:
        with suppress(Rejected):
            controller.release(release, asked["pair"], plan, shadow_config=asked["shadow"])
    return 0 if controller.follow(60, poll=0.3).at_rest else 1


def in_a_process(asked: Any, make: Any) -> int:
    """Carry it on in a process of its own, and return its status."""
    process = os.fork()
    if process == 0:
        status = 1
        try:
            status = carry_on(asked, make)
        except Exception:
            traceback.print_exc()
        os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def main() -> None:
    """Carry it on in one process after another, until one comes to the end."""
    asked = json.load(sys.stdin)
    make = mortal(asked["region"], Path(asked["marks"]))
    for service in SERVICES:
        make(service)
    while (status := in_a_process(asked, make)) != 0:
        print(status, flush=True)
        time.sleep(0.2)
    print(status)


if __name__ == "__main__":
    main()
