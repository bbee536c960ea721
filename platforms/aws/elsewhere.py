"""What serves on another stack, be it of this account or of another one, whose stack gives a role for that.

release = champion("us-east-1", "flight-delay-dev-rollouts", "flight-delay-dev", role_for(outputs_role, account))
"""

from __future__ import annotations

from platforms.aws.clients import acting_as, clients
from platforms.aws.journal import DynamoJournal
from rollout.core.release import Release


def role_for(role: str | None, account: str) -> str | None:
    """The role to assume to read there; None where the account is this one, or none is needed."""
    return role if role and role.split(":")[4] != account else None


def champion(region: str, table: str, endpoint: str, role: str | None) -> Release | None:
    """The release that serves on an endpoint, by its journal; None when there is none.

    Raises:
        RolloutError: The role may not be assumed, or the journal cannot be read.
        StateError: The journal is of another version.
    """
    made = clients(region, acting_as(role, region) if role else None)
    return DynamoJournal(made, table, endpoint).read().champion
