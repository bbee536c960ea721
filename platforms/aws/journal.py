"""The journal on AWS, without the controller: `pulumi up` reads it first."""

from __future__ import annotations

from dataclasses import dataclass

from platforms.aws.clients import Clients
from platforms.aws.revisions import Revisions
from rollout.core.state import RolloutState


@dataclass(frozen=True)
class DynamoJournal:
    """`Journal` in a DynamoDB table with the hash key `endpoint`, one item an endpoint.

    `by` is the credentials or the function that writes, for the audit record; empty if unknown.
    """

    clients: Clients
    table: str
    endpoint: str
    by: str = ""

    def read(self) -> RolloutState:
        """The state, by a consistent read; an empty one without an item or a table."""
        item = self._item.read()
        return RolloutState.from_json(item["state"]["S"]) if item else RolloutState(self.endpoint)

    def write(self, state: RolloutState) -> RolloutState:
        """Write the successor of the revision that was read, on the condition that it is still stored."""
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
