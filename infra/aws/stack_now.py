"""A stack as it is now: where it is, what is live there, and which release it takes from another stack."""

from __future__ import annotations

import asyncio
import gc
import importlib
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_aws as aws

from infra.aws.account import check_account, own_account
from infra.aws.hosting import shape_of
from infra.aws.journal import recorded
from infra.config.serving_settings import ServingSettings
from infra.config.settings import Settings
from infra.config.target import is_local
from infra.live_state import LiveState
from infra.plan.releases import DesiredRelease
from infra.source import champion_of
from platforms.aws.names import Names, prefix
from retraining.record import RetrainingRecord, standing
from rollout.core.state import RolloutState

SERVICES = ("cloudwatch", "dynamodb", "ecr", "iam", "kms", "lambda_", "s3", "sagemaker", "scheduler", "sns", "sqs")


@dataclass(frozen=True, kw_only=True)
class StackNow(LiveState):
    """A stack on AWS before its program has declared anything; also these.

    Attributes:
        adopted: The endpoint that an earlier update made and did not keep; None when there is none, or it was kept.
    """

    names: Names
    adopted: str | None = None

    def shape(self, serving: ServingSettings) -> tuple[str, dict[str, Any]]:
        """See `LiveState`: instances."""
        return serving.instances, shape_of(serving)

    def answer_alarms(self, variant: str) -> tuple[str, ...]:
        """See `LiveState`."""
        return self.names.answer_alarms(variant)

    def agreed(self, settings: Settings, wanted: DesiredRelease) -> int:
        """See `LiveState`; by the bucket."""
        from platforms.aws.approvals import BucketApprovals  # noqa: PLC0415  most stacks ask nobody
        from platforms.aws.clients import clients  # noqa: PLC0415

        return BucketApprovals(clients(self.names.region), self.names.bucket).count(wanted.id)


async def read_stack(settings: Settings, stack: str) -> StackNow:
    """The account and region that the credentials and the config lead to, what is live there, and what to release.

    Raises:
        pulumi.RunError: AWS does not say whose the credentials are or what is live, or the source has no champion.
    """
    # Its process starts now, beside that of AWS's provider, and not when the package is declared.
    provider = pulumi.ProviderResource("pulumi-python", "releases", {})
    names, state, record = await _live(settings.model.name, stack, pulumi.Config("aws").require("region"))
    restored, other = state.restored, settings.promotion.source
    source = await champion_of(other, names.account) if other and restored is None else None
    image = restored.image_uri if restored else image_for(settings.serving.image, names, source)
    serves = state.champion.id if state.champion else ""
    candidate = None if source or restored else standing(record, state.rejected, serves)
    adopted = None
    if image and state.champion is None:
        from infra.aws.first_endpoint import standing_endpoint  # noqa: PLC0415  it loads boto3, which has its own time

        adopted = standing_endpoint(names)
    return StackNow(
        names=names,
        state=state,
        source=source,
        image=image or "",
        candidate=candidate,
        adopted=adopted,
        provider=provider,
    )


async def _live(model: str, stack: str, region: str) -> tuple[Names, RolloutState, RetrainingRecord]:
    gc.disable()  # half a million objects are made that all stay: looking for garbage among them takes as long again
    # The journal is read and the rest of the SDK loads while the provider starts, which the invoke waits for.
    reading = asyncio.gather(
        asyncio.to_thread(recorded, prefix(model, stack), region), asyncio.to_thread(_load), return_exceptions=True
    )
    await asyncio.sleep(0)
    caller, (found, _) = await asyncio.gather(_caller(), reading)
    gc.freeze()
    gc.enable()
    if isinstance(found, BaseException):
        raise found
    if isinstance(caller, Exception):
        raise pulumi.RunError(f"AWS does not say whose the credentials are, so nothing was changed: {caller}")
    check_account(caller, found[0], lambda: own_account(region))
    return Names(model, stack, caller.account_id, region, caller.arn.split(":")[1]), *found


async def _caller() -> aws.GetCallerIdentityResult | Exception:
    try:
        return await aws.get_caller_identity()  # pyrefly: ignore[not-async] - its __await__ is untyped
    except Exception as error:
        return error


def _load() -> None:
    """Load what the components use of the SDK; it would load by itself, but then nothing else could go on."""
    for name in SERVICES:
        getattr(importlib.import_module(f"pulumi_aws.{name}"), "outputs", None)  # an access loads a lazy module


def image_for(configured: str | None, names: Names, source: dict[str, Any] | None) -> str | None:
    """The serving image: the configured one; else, in the local cloud, a process; else the taken release's."""
    if configured:
        return configured
    if is_local(names.stack):
        return names.process_image
    return source["image_uri"] if source and source["platform"] == "aws" else None


def ask_for_image(stack_now: StackNow) -> None:
    """Say what is needed before a release can be made on AWS: a serving image in the stack's repository.

    Raises:
        pulumi.RunError: A release is live; without the image's name it would be taken down.
    """
    names, state = stack_now.names, stack_now.state
    ask = (
        f"modelstack:serving.image is not set, and stack {names.stack!r} is not a local one. `make image "
        f"STACK={names.stack}` builds it, pushes it to the repository {names.repository}, and prints how to set it"
    )
    if state.champion is not None or state.challenger is not None:
        raise pulumi.RunError(f"{ask}. Nothing was changed: {names.endpoint} serves a release")
    pulumi.warn(f"{ask}. Until then this stack is a registry only")
