"""The journal on AWS. Whoever only asks what is live loads this and no controller: `pulumi up` begins so.

DynamoJournal(clients("us-east-1"), "flight-delay-prod-rollouts", "flight-delay-prod").read().champion
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from platforms.aws.clients import Clients, calling, code_of
from rollout.core.errors import Conflict, RolloutError, Unreachable
from rollout.core.state import RolloutState


@dataclass(frozen=True)
class DynamoJournal:
    """`Journal` in a DynamoDB table with the hash key `endpoint`, one item an endpoint."""

    clients: Clients
    table: str
    endpoint: str

    def read(self) -> RolloutState:
        """The state, by a consistent read; an empty one when there is no item, or no table yet."""
        try:
            with calling(f"read journal {self.table}"):
                answer = self.clients("dynamodb").get_item(
                    TableName=self.table, Key={"endpoint": {"S": self.endpoint}}, ConsistentRead=True
                )
        except RolloutError as error:
            if code_of(error.__cause__) == "ResourceNotFoundException":
                return RolloutState(self.endpoint)
            raise
        item = answer.get("Item")
        return RolloutState.from_json(item["state"]["S"]) if item else RolloutState(self.endpoint)

    def write(self, state: RolloutState) -> RolloutState:
        """Put the successor of the revision that was read, on the condition that it is still there."""
        after = state.written()
        condition: dict[str, Any] = {"ConditionExpression": "attribute_not_exists(endpoint)"}
        if state.revision:
            seen = {":seen": {"N": str(state.revision)}}
            condition = {"ConditionExpression": "revision = :seen", "ExpressionAttributeValues": seen}
        item = {
            "endpoint": {"S": self.endpoint},
            "revision": {"N": str(after.revision)},
            "rollout_id": {"S": after.rollout_id},
            "phase": {"S": after.phase.value},
            "state": {"S": after.to_json()},
        }
        try:
            with calling(f"write journal {self.table}"):
                self.clients("dynamodb").put_item(TableName=self.table, Item=item, **condition)
        except RolloutError as error:
            if code_of(error.__cause__) == "ConditionalCheckFailedException":
                raise Conflict(f"journal {self.table} moved on from revision {state.revision}") from error
            if code_of(error.__cause__) == "ProvisionedThroughputExceededException":
                raise Unreachable(str(error)) from error
            raise
        return after
