"""The caller of AWS by Pulumi's provider, requested before the program is imported: the provider starts meanwhile."""

from __future__ import annotations

import asyncio
from contextvars import ContextVar

import pulumi.runtime
import pulumi_aws as aws
from pulumi_aws._utilities import get_invoke_opts_defaults

_TOKEN = "aws:index/getCallerIdentity:getCallerIdentity"  # noqa: S105  no secret
_requested = ContextVar[asyncio.Future[aws.GetCallerIdentityResult | Exception] | None]("requested", default=None)


async def request_caller() -> None:
    """Send the request, whose answer `caller` gives."""
    _requested.set(asyncio.ensure_future(_caller()))


async def caller() -> aws.GetCallerIdentityResult | Exception:
    """The answer, or why there is none."""
    return await (_requested.get() or _caller())


async def _caller() -> aws.GetCallerIdentityResult | Exception:
    try:
        return await pulumi.runtime.invoke_async(_TOKEN, {}, get_invoke_opts_defaults(), aws.GetCallerIdentityResult)
    except Exception as error:
        return error
