"""The champion of the stack that this one takes its releases from."""

from __future__ import annotations

import asyncio
from typing import Any

import pulumi

from modelstack.services.platform_registry import DEFAULT, platform


async def champion_of(source: str, account: str | None) -> dict[str, Any]:
    """The champion of another stack of this project, by its journal: its outputs are as old as its last update.

    `account` is this stack's AWS account; None derives it from the credentials. The result adds `platform`, that
    platform's access fields (see its `champion`), and `signed_by`, the source's public key, PEM.

    Raises:
        pulumi.RunError: The stack has no champion or no signed package, or its state cannot be read.
    """
    reference = pulumi.StackReference(f"{pulumi.get_organization()}/{pulumi.get_project()}/{source}")
    outputs = await reference.outputs.future() or {}
    there = outputs.get("platform") or DEFAULT
    release = await asyncio.to_thread(platform(there).use("champion"), source, outputs, account)
    if release is None:
        raise pulumi.RunError(
            f"modelstack:promotion.from = {source!r}: this stack has no champion to take. Run `pulumi up` on it first"
        )
    if not outputs.get("signing_key"):
        raise pulumi.RunError(
            f"modelstack:promotion.from = {source!r}: this stack has signed none of its packages (it has no output "
            "`signing_key`), and only a signed one is taken. Run `pulumi up` on it first, which signs what it serves"
        )
    return {**release, "platform": there, "signed_by": outputs["signing_key"]}


def not_known(source: str, error: Exception, more: str = "") -> pulumi.RunError:
    """The error of an update that cannot read its source's champion."""
    return pulumi.RunError(
        f"modelstack:promotion.from = {source!r}: what serves there is not known, so nothing was changed: {error}{more}"
    )
