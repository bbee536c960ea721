"""The stack that this one takes its releases from, whatever its platform: what serves there, and how it is reached."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pulumi

from rollout.core.errors import RolloutError
from rollout.core.state import StateError

_ON_AWS = ("endpoint_name", "journal_table", "region")
_ON_CLUSTER = ("endpoint_name", "context", "namespace", "bucket")
Outputs = Mapping[str, Any]


async def champion_of(source: str, account: str | None) -> dict[str, Any]:
    """The release that serves on another stack of this project, by its journal, with `signed_by` and how it is reached.

    The stack's outputs tell only where the journal is: they are as old as its last update, and a trial may have ended
    since. `region` and `role` lead to a stack on AWS; `role` is what to assume there, null where the stack is of the
    same account. `context` and `bucket` lead to a stack on Kubernetes. `signed_by` is the public key of the stack, PEM,
    with which it signs all that it registers.

    Args:
        source: The other stack.
        account: The account of this one; None where it is on Kubernetes, and the credentials tell.

    Raises:
        pulumi.RunError: The stack has no champion or has signed nothing, or what serves there cannot be read.
    """
    reference = pulumi.StackReference(f"{pulumi.get_organization()}/{pulumi.get_project()}/{source}")
    asked = ("platform", "signing_key", "promotion_role", "alerts_topic", *dict.fromkeys((*_ON_AWS, *_ON_CLUSTER)))
    details = await asyncio.gather(*(reference.get_output_details(name) for name in asked))
    outputs = {name: one.value for name, one in zip(asked, details, strict=True)}
    on_cluster = outputs["platform"] == "kubernetes"
    if not on_cluster and account is not None:
        _check_named(source, outputs["alerts_topic"], outputs["promotion_role"], account)
    release = None
    if on_cluster and outputs["endpoint_name"] and outputs["namespace"]:
        release = await asyncio.to_thread(_serving_in_cluster, source, outputs)
    elif not on_cluster and all(outputs[name] for name in _ON_AWS):
        release = await asyncio.to_thread(_serving, source, outputs, outputs["promotion_role"], account)
    if release is None:
        raise pulumi.RunError(
            f"modelstack:promotion.from = {source!r}: this stack has no champion to take. Run `pulumi up` on it first"
        )
    if not outputs["signing_key"]:
        raise pulumi.RunError(
            f"modelstack:promotion.from = {source!r}: this stack has signed none of its packages (it has no output "
            "`signing_key`), and only a signed one is taken. Run `pulumi up` on it first, which signs what it serves"
        )
    return {**release, "signed_by": outputs["signing_key"]}


def is_on_cluster(source: Mapping[str, Any]) -> bool:
    """Whether a release that `champion_of` gave serves on Kubernetes."""
    return "context" in source


def _check_named(source: str, topic: str | None, role: str | None, account: str) -> None:
    """Refuse to go on when the source is of another account, and lets no other account take its champion."""
    there = topic.split(":")[4] if topic else account
    if there != account and not role:
        raise pulumi.RunError(
            f"modelstack:promotion.from = {source!r}: this stack is in account {there}, and its "
            "modelstack:promotion.to names no other account, so nothing was changed. Let it name "
            f"{account}, and run `pulumi up` on it"
        )


def _serving(source: str, outputs: Outputs, role: str | None, account: str | None) -> dict[str, Any] | None:
    from platforms.aws.clients import calling, clients  # noqa: PLC0415  slow to load, and most stacks train
    from platforms.aws.elsewhere import champion, role_for  # noqa: PLC0415
    from platforms.aws.identity import caller  # noqa: PLC0415

    region, needed = outputs["region"], None
    try:
        if role and account is None:
            with calling("ask AWS whose the credentials are"):
                account = caller(clients(region)).split(":")[4]
        needed = role_for(role, account) if account else None
        found = champion(region, outputs["journal_table"], outputs["endpoint_name"], needed)
    except (RolloutError, StateError) as error:
        more = f". Does modelstack:promotion.to of {source} name account {account}?" if needed else ""
        raise _not_known(source, error, more) from None
    return {**found.as_dict(), "region": region, "role": needed} if found else None


def _serving_in_cluster(source: str, outputs: Outputs) -> dict[str, Any] | None:
    from platforms.kubernetes.answers import Forbidden  # noqa: PLC0415  see _serving
    from platforms.kubernetes.api import Api  # noqa: PLC0415
    from platforms.kubernetes.journal import KubernetesJournal  # noqa: PLC0415

    context = outputs["context"]
    try:
        api = Api.of(context or None, outputs["namespace"])
        found = KubernetesJournal(api, outputs["endpoint_name"]).read().champion
    except Forbidden as error:
        more = f". Does modelstack:promotion.to of {source} name a group that you are in?"
        raise _not_known(source, error, more) from None
    except (RolloutError, StateError) as error:
        raise _not_known(source, error) from None
    return {**found.as_dict(), "context": context or "", "bucket": outputs.get("bucket")} if found else None


def _not_known(source: str, error: Exception, more: str = "") -> pulumi.RunError:
    return pulumi.RunError(
        f"modelstack:promotion.from = {source!r}: what serves there is not known, so nothing was changed: {error}{more}"
    )
