"""The journal on AWS, without the controller: `pulumi up` reads it first.

It is an item of a table of its own, and has a copy among the documents.
"""

from __future__ import annotations

from dataclasses import dataclass

from modelstack.platforms.aws.clients import Clients, acting_as, clients
from modelstack.platforms.aws.documents import DynamoDocuments
from modelstack.platforms.aws.names import documents
from modelstack.platforms.aws.revisions import Revisions
from modelstack.platforms.s3.errors import code_of
from modelstack.rollout.core.errors import RolloutError
from modelstack.rollout.core.release import Release
from modelstack.rollout.core.state import RolloutState
from modelstack.services.journal import CopiedJournal, DocumentJournal


def copied_journal(
    clients: Clients, table: str, endpoint: str, by: str = "", *, copies: str | None = None
) -> CopiedJournal:
    """The journal of an endpoint with its copy in `copies`, by default the stack's table of documents.

    `by` is the credentials or the function that writes, for the audit record; empty if unknown.
    """
    copy = _Copy(DynamoDocuments(clients, copies or documents(endpoint)), endpoint)
    return CopiedJournal(DynamoJournal(clients, table, endpoint), copy, by)


@dataclass(frozen=True)
class DynamoJournal:
    """`StateStore` in a DynamoDB table with the hash key `endpoint`, one item an endpoint."""

    clients: Clients
    table: str
    endpoint: str

    def read(self) -> RolloutState:
        """The state, by a consistent read; an empty one without an item or a table."""
        item = self._item.read()
        return RolloutState.from_json(item["state"]["S"]) if item else RolloutState(self.endpoint)

    def put(self, state: RolloutState) -> None:
        """See `modelstack.services.journal.StateStore`."""
        content = {
            "rollout_id": {"S": state.rollout_id},
            "phase": {"S": state.phase.value},
            "state": {"S": state.to_json()},
        }
        self._item.write(content, state.revision)

    @property
    def _item(self) -> Revisions:
        return Revisions(self.clients, self.table, self.endpoint, "journal")


class _Copy(DocumentJournal):
    def read(self) -> RolloutState:
        """An empty state without the table, as before the first update."""
        try:
            return super().read()
        except RolloutError as error:
            if code_of(error.__cause__) == "ResourceNotFoundException":
                return RolloutState(self.endpoint)
            raise


def role_for(role: str | None, account: str) -> str | None:
    """The role to assume to read there; None if the account is this one, or none is needed."""
    return role if role and role.split(":")[4] != account else None


def champion(region: str, table: str, endpoint: str, role: str | None) -> Release | None:
    """The serving release of an endpoint, by its journal; None if there is none."""
    made = clients(region, acting_as(role, region) if role else None)
    return DynamoJournal(made, table, endpoint).read().champion
