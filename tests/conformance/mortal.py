"""A controller in a process of its own that is killed after each kind of effect, once each.

    python tests/conformance/mortal.py < what.json

Every call that changes something kills the process with SIGKILL right after the cloud has performed it, unless one of
the same kind has killed a process before: those are kept in a file. So a row of such processes is killed between any
two steps, and the one that finds no new step comes to the end.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import sys
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


def main() -> None:
    """Release, or take the release back after its promotion, and follow the rollout to its end."""
    asked = json.load(sys.stdin)
    controller = controller_with(
        mortal(asked["region"], Path(asked["marks"])), asked["endpoint"], asked["table"], topic=asked["topic"]
    )
    release, plan = Release.from_dict(asked["release"]), Plan.from_dict(asked["plan"])
    if asked["does"] == "restore":
        controller.roll_back(Reason("person", "ada", "it sells less"), meant=release.id)
    else:
        with suppress(Rejected):
            controller.release(release, asked["pair"], plan, shadow_config=asked["shadow"])
    sys.exit(0 if controller.follow(60, poll=0.3).at_rest else 1)


if __name__ == "__main__":
    main()
