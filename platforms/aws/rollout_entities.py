"""The second half of a release's lineage in SageMaker: a rollout with its verdict, and the endpoint.

    version ─ContributedTo─> rollout ─AssociatedWith─> endpoint

`platforms.aws.package_entities` has written what led to the version.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import get_args

from platforms.aws.clients import Clients
from platforms.aws.entities import Entities, registration, rollout
from rollout.core.event import Event
from rollout.core.verdict import Outcome

_STATUS = {"promoted": "Completed", "rolled_back": "Failed", "failed": "Failed"}
_OTHER = "Stopped"
_LATEST = 5


@dataclass(frozen=True)
class Ending:
    """How a rollout ended.

    Attributes:
        rollout_id: The rollout.
        release: The id of the release that was on trial, or came without one.
        outcome: What became of it.
        why: For a person.
    """

    rollout_id: str
    release: str
    outcome: str
    why: str


def endings(history: Sequence[Event]) -> list[Ending]:
    """The last rollouts that ended, oldest first; of one that was promoted and taken back, the latter.

    Args:
        history: The journal's events, oldest first.
    """
    found: dict[str, Ending] = {}
    for event in history:
        if event.kind in get_args(Outcome):
            why = event.reason.text if event.reason else ""
            found.pop(event.rollout_id, None)
            found[event.rollout_id] = Ending(event.rollout_id, event.release, event.kind, why)
    return list(found.values())[-_LATEST:]


def write(ending: Ending, clients: Clients, endpoint: str) -> None:
    """Write how a rollout ended; again, it changes the same entities.

    Args:
        ending: The rollout.
        clients: The stack's account and region.
        endpoint: The endpoint's name, with which every name of the stack begins.

    Raises:
        ClientError, BotoCoreError: SageMaker does not take it; what was written stays, and the next call goes on.
    """
    sagemaker = clients("sagemaker")
    entities, endpoint_arn = Entities(sagemaker), sagemaker.describe_endpoint(EndpointName=endpoint)["EndpointArn"]
    action = entities.action(
        rollout(endpoint, ending.rollout_id),
        "ModelDeployment",
        endpoint_arn,
        status=_STATUS.get(ending.outcome, _OTHER),
        properties={"release": ending.release, "verdict": ending.outcome, "why": ending.why},
    )
    begun = action.replace(rollout(endpoint, ending.rollout_id), registration(endpoint, ending.release))
    for version in entities.produced_by(begun):
        entities.associate(version, action, "ContributedTo")
    entities.associate(action, entities.context(endpoint, "Endpoint", endpoint_arn), "AssociatedWith")
