"""The journal on AWS. Whoever only asks what is live loads this and no controller: `pulumi up` begins so.

DynamoJournal(clients("us-east-1"), "flight-delay-prod-rollouts", "flight-delay-prod").read().champion
"""

from __future__ import annotations

from dataclasses import dataclass

from platforms.aws.clients import Clients
from platforms.aws.revisions import Revisions
from rollout.core.state import RolloutState


@dataclass(frozen=True)
class DynamoJournal:
    """`Journal` in a DynamoDB table with the hash key `endpoint`, one item an endpoint.

    Attributes:
        clients: Gives clients.
        table: The table.
        endpoint: The endpoint.
        by: Whose credentials, or which function, writes; the audit record tells it. Empty when nobody knows.
    """

    clients: Clients
    table: str
    endpoint: str
    by: str = ""

    def read(self) -> RolloutState:
        """The state, by a consistent read; an empty one when there is no item, or no table yet."""
        item = self._item.read()
        return RolloutState.from_json(item["state"]["S"]) if item else RolloutState(self.endpoint)

    def write(self, state: RolloutState) -> RolloutState:
        """Put the successor of the revision that was read, on the condition that it is still there."""
        after = state.written(self.by)
        content = {
            "rollout_id": {"S": after.rollout_id},
            "phase": {"S": after.phase.value},
            "state": {"S": after.to_json()},
        }
        self._item.write(content, after=state.revision)
        return after

    @property
    def _item(self) -> Revisions:
        return Revisions(self.clients, self.table, self.endpoint, "journal")
