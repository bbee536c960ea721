"""The serving release of another stack, in this account or in another one that gives a role for it."""

from __future__ import annotations

from platforms.aws.clients import acting_as, clients
from platforms.aws.journal import DynamoJournal
from rollout.core.release import Release


def role_for(role: str | None, account: str) -> str | None:
    """The role to assume to read there; None if the account is this one, or none is needed."""
    return role if role and role.split(":")[4] != account else None


def champion(region: str, table: str, endpoint: str, role: str | None) -> Release | None:
    """The serving release of an endpoint, by its journal; None if there is none."""
    made = clients(region, acting_as(role, region) if role else None)
    return DynamoJournal(made, table, endpoint).read().champion
