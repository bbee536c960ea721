"""The live state of a stack on AWS."""

from __future__ import annotations

import asyncio
import gc
import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_aws as aws

from modelstack.monitoring.retraining.record import RetrainingRecord, standing
from modelstack.platforms.aws.names import Names
from modelstack.program.aws.caller import caller
from modelstack.program.aws.hosting import shape_of
from modelstack.program.aws.journal import recorded
from modelstack.program.aws.statements import ECR
from modelstack.program.config.serving_settings import ServingSettings
from modelstack.program.config.settings import Settings
from modelstack.program.config.target import is_local
from modelstack.program.live_state import LiveState
from modelstack.program.plan.releases import DesiredRelease
from modelstack.program.source import champion_of
from modelstack.rollout.core.errors import RolloutError
from modelstack.rollout.core.live import Live
from modelstack.rollout.core.state import RolloutState
from modelstack.services.release_names import ReleaseNames

SERVICES = ("cloudwatch", "dynamodb", "ecr", "iam", "kms", "lambda_", "s3", "sagemaker", "scheduler", "sns", "sqs")


@dataclass(frozen=True, kw_only=True)
class StackNow(LiveState):
    """The live state of a stack on AWS; `adopted` is an endpoint that an earlier update created and did not store."""

    names: Names
    adopted: str | None = None

    def shape(self, serving: ServingSettings) -> tuple[str, dict[str, Any]]:
        """Instances."""
        return serving.instances, shape_of(serving)

    def agreed(self, settings: Settings, wanted: DesiredRelease) -> int:
        """Approvals in the bucket."""
        from modelstack.platforms.aws.approvals import BucketApprovals  # noqa: PLC0415  most stacks ask nobody
        from modelstack.platforms.aws.clients import clients  # noqa: PLC0415

        return BucketApprovals.of(clients(self.names.region), self.names.bucket).count(wanted.id)


async def read_stack(settings: Settings, stack: str) -> StackNow:
    """The live state, the account and region, and the release source; pulumi.RunError if any of it cannot be read."""
    # Its process starts now, in parallel with the AWS provider's.
    provider = pulumi.ProviderResource("pulumi-python", "releases", {})
    region = pulumi.Config("aws").require("region")
    names, state, live, record = await _live(settings.model.name, stack, region, settings.registry.bucket or "")
    restored, other = state.restored, settings.promotion.source
    source = await champion_of(other, names.account) if other and restored is None else None
    image = restored.image_uri if restored else image_for(settings.serving.image, names, source)
    taken = bool(source) and not settings.serving.image and restored is None
    check_region("promotion.from" if taken else "serving.image", image, names)
    check_region("retraining.image", settings.retraining.image, names)
    serves = state.champion.id if state.champion else ""
    candidate = None if source or restored else standing(record, state.rejected, serves)
    adopted = None
    if image and state.champion is None:
        from modelstack.program.aws.first_endpoint import standing_endpoint  # noqa: PLC0415  it loads boto3, which has its own time

        adopted = standing_endpoint(names)
    return StackNow(
        names=names,
        state=state,
        live=live,
        source=source,
        image=image or "",
        candidate=candidate,
        adopted=adopted,
        provider=provider,
    )


async def _live(
    model: str, stack: str, region: str, bucket: str
) -> tuple[Names, RolloutState, Live | None, RetrainingRecord]:
    gc.disable()  # half a million objects are created that all stay; scanning them doubles the time
    # The journal is read and the rest of the SDK loads while the provider starts, which the invoke waits for.
    endpoint = ReleaseNames(model, stack).prefix
    reading = asyncio.gather(
        asyncio.to_thread(recorded, endpoint, region), asyncio.to_thread(_load), return_exceptions=True
    )
    await asyncio.sleep(0)
    who, (found, _) = await asyncio.gather(caller(), reading)
    gc.freeze()
    gc.enable()
    if isinstance(found, BaseException):
        raise found
    if isinstance(who, Exception):
        raise pulumi.RunError(f"AWS does not say whose the credentials are, so nothing was changed: {who}")
    check_account(who, found[0], lambda: own_account(region))
    return Names(model, stack, who.account_id, region, who.arn.split(":")[1], bucket), *found


def _load() -> None:
    """Load the SDK in a thread: loaded on demand, it would block the event loop."""
    for name in SERVICES:
        getattr(importlib.import_module(f"pulumi_aws.{name}"), "outputs", None)  # access loads the lazy module


def image_for(configured: str | None, names: Names, source: dict[str, Any] | None) -> str | None:
    """The configured serving image; else, in the local cloud, a process; else the source release's."""
    if configured:
        return configured
    if is_local(names.stack):
        return names.process_image
    return source["image_uri"] if source and source["platform"] == "aws" else None


def check_region(field: str, image: str | None, names: Names) -> None:
    """pulumi.RunError if SageMaker would refuse an image because of its region, after other resources were changed."""
    found = ECR.match(image or "")
    if found is None or found[2] == names.region:
        return
    raise pulumi.RunError(
        f"modelstack:{field}: SageMaker takes images of the stack's region only, and {image} is in {found[2]}. Nothing "
        f"was changed: push it to a repository in {names.region}, and name it in the config (modelstack:serving.image "
        "for what serves)"
    )


def tell_quota(stack_now: StackNow, serving: ServingSettings) -> None:
    """Name the service quota that a first release, or one on other instances, needs; a local cloud has none."""
    champion, count = stack_now.state.champion, serving.instance_count
    if is_local(stack_now.names.stack) or (champion is not None and champion.instances == serving.instances):
        return
    pulumi.info(
        f"the service quota `{serving.instance_type} for endpoint usage` in {stack_now.names.region} must be at least "
        f"{3 * count}, as SageMaker starts new instances before it stops old ones: {3 * count} for a trial, and "
        f"{4 * count} with a shadow step or when a release supersedes a trial"
    )


def ask_for_image(stack_now: StackNow) -> None:
    """Warn that the stack needs a serving image; pulumi.RunError if a release is live, which would be deleted."""
    names, state = stack_now.names, stack_now.state
    ask = (
        f"modelstack:serving.image is not set, and stack {names.stack!r} is not a local one. `make image "
        f"STACK={names.stack}` builds it, pushes it to the repository {names.repository}, and prints how to set it"
    )
    if state.champion is not None or state.challenger is not None:
        raise pulumi.RunError(f"{ask}. Nothing was changed: {names.endpoint} serves a release")
    pulumi.warn(f"{ask}. Until then this stack is a registry only")


def check_account(caller: aws.GetCallerIdentityResult, state: RolloutState, own: Callable[[], str]) -> None:
    """Refuse a journal of another account than the provider's. `own` is called if the journal has no release.

    They take credentials from the environment by two libraries. If these disagree, the program reads another account's
    journal, finds none, and would delete live resources.
    """
    account = _of_releases(state) or own()
    if account != caller.account_id:
        raise pulumi.RunError(
            f"the credentials lead to two accounts, so nothing was changed: Pulumi's provider for AWS calls as "
            f"{caller.arn}, and the program in account {account}. Set one kind of credentials in the environment: "
            "AWS_PROFILE, or the keys, not both"
        )


def _of_releases(state: RolloutState) -> str:
    """The ARNs of packages hold the account; empty without releases or ARNs."""
    parts = [release.version.split(":") for release in (state.champion, state.challenger) if release]
    return next((found[4] for found in parts if len(found) > 4), "")


def own_account(region: str) -> str:
    """The account of the program's own calls."""
    from modelstack.platforms.aws.clients import calling, clients  # noqa: PLC0415  it loads boto3, which a later update does not need

    try:
        with calling("ask whose the credentials are"):
            return clients(region)("sts").get_caller_identity()["Account"]
    except RolloutError as error:
        raise pulumi.RunError(f"AWS does not say whose the credentials are, so nothing was changed: {error}") from None
