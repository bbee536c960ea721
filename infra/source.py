"""The stack that this one takes its releases from, whatever its platform is: what serves there."""

from __future__ import annotations

import asyncio
from typing import Any

import pulumi

from services.platform_registry import DEFAULT, platform

_NAMES = (
    *("platform", "endpoint_name", "journal_table", "region", "promotion_role", "alerts_topic"),
    *("context", "namespace", "bucket", "signing_key"),
)


async def champion_of(source: str, account: str | None) -> dict[str, Any]:
    """The release that serves on another stack of this project, by its journal.

    The stack's outputs tell only where the journal is: they are as old as its last update, and a trial may have ended
    since.

    Args:
        source: The other stack.
        account: The account of this one; None where it has none, and the credentials tell.

    Returns:
        The release, with `platform`, how that platform reaches it (see its `champion`), and `signed_by`: the public key
        of the stack, PEM, with which it signs all that it registers.

    Raises:
        pulumi.RunError: The stack has no champion or has signed nothing, or what serves there cannot be read.
    """
    reference = pulumi.StackReference(f"{pulumi.get_organization()}/{pulumi.get_project()}/{source}")
    details = await asyncio.gather(*(reference.get_output_details(name) for name in _NAMES))
    outputs = {name: one.value for name, one in zip(_NAMES, details, strict=True)}
    there = outputs["platform"] or DEFAULT
    release = await asyncio.to_thread(platform(there).use("champion"), source, outputs, account)
    if release is None:
        raise pulumi.RunError(
            f"modelstack:promotion.from = {source!r}: this stack has no champion to take. Run `pulumi up` on it first"
        )
    if not outputs["signing_key"]:
        raise pulumi.RunError(
            f"modelstack:promotion.from = {source!r}: this stack has signed none of its packages (it has no output "
            "`signing_key`), and only a signed one is taken. Run `pulumi up` on it first, which signs what it serves"
        )
    return {**release, "platform": there, "signed_by": outputs["signing_key"]}


def not_known(source: str, error: Exception, more: str = "") -> pulumi.RunError:
    """The error of an update that cannot read what serves on its source."""
    return pulumi.RunError(
        f"modelstack:promotion.from = {source!r}: what serves there is not known, so nothing was changed: {error}{more}"
    )
