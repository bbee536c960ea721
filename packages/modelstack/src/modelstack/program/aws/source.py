"""The champion of another stack on AWS."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pulumi

from modelstack.program.source import not_known
from modelstack.rollout.core.errors import RolloutError
from modelstack.rollout.core.state import StateError


def champion(source: str, outputs: Mapping[str, Any], account: str | None) -> dict[str, Any] | None:
    """The champion of a stack, or None; with its `region` and the `role` to assume, null within one account.

    Raises:
        pulumi.RunError: It cannot be read, or the stack does not give this account access.
    """
    from modelstack.platforms.aws.clients import calling, clients  # noqa: PLC0415  slow to load, and most stacks train
    from modelstack.platforms.aws.identity import caller  # noqa: PLC0415
    from modelstack.platforms.aws.journal import champion as read  # noqa: PLC0415
    from modelstack.platforms.aws.journal import role_for  # noqa: PLC0415

    region, table, endpoint = (outputs.get(name) for name in ("region", "journal_table", "endpoint_name"))
    if account is not None:
        _check_named(source, outputs.get("alerts_topic"), outputs.get("promotion_role"), account)
    if not (region and table and endpoint):
        return None
    role, needed = outputs.get("promotion_role"), None
    try:
        if role and account is None:
            with calling("ask AWS whose the credentials are"):
                account = caller(clients(region)).split(":")[4]
        needed = role_for(role, account) if account else None
        found = read(region, table, endpoint, needed)
    except (RolloutError, StateError) as error:
        more = f". Does modelstack:promotion.to of {source} name account {account}?" if needed else ""
        raise not_known(source, error, more) from None
    return {**found.as_dict(), "region": region, "role": needed} if found else None


def _check_named(source: str, topic: str | None, role: str | None, account: str) -> None:
    there = topic.split(":")[4] if topic else account
    if there != account and not role:
        raise pulumi.RunError(
            f"modelstack:promotion.from = {source!r}: this stack is in account {there}, and its "
            "modelstack:promotion.to names no other account, so nothing was changed. Let it name "
            f"{account}, and run `pulumi up` on it"
        )
