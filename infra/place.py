"""Where a stack is, and which release it takes from another stack."""

from __future__ import annotations

import asyncio
import gc
import importlib
from typing import Any

import pulumi
import pulumi_aws as aws

from infra.config import is_local
from infra.journal import recorded
from infra.naming import Names, prefix
from rollout.state import RolloutState

SERVICES = ("cloudwatch", "dynamodb", "ecr", "iam", "kms", "lambda_", "s3", "sagemaker", "sns", "sqs")
RELEASE = ("recipe", "package_digest", "archive_uri", "manifest_sha256", "model_package_arn", "image_uri")


async def here(model: str, stack: str) -> tuple[Names, RolloutState]:
    """The stack's names, in the account and region that the credentials and the config lead to, and what is live there.

    Raises:
        pulumi.RunError: `aws:region` is not set, or AWS does not say whose the credentials are or what is live.
    """
    region = pulumi.Config("aws").get("region")
    if not region:
        raise pulumi.RunError(
            f"Pulumi.{stack}.yaml: aws:region is missing; set it, such as: pulumi config set aws:region us-east-1"
        )
    gc.disable()  # half a million objects are made that all stay: looking for garbage among them takes as long again
    # The journal is read and the rest of the SDK loads while the provider starts, which the invoke waits for.
    reading = asyncio.gather(
        asyncio.to_thread(recorded, prefix(model, stack), region), asyncio.to_thread(_load), return_exceptions=True
    )
    await asyncio.sleep(0)
    caller, (state, _) = await asyncio.gather(_caller(), reading)
    gc.freeze()
    gc.enable()
    if isinstance(state, BaseException):
        raise state
    if isinstance(caller, Exception):
        raise pulumi.RunError(f"AWS does not say whose the credentials are, so nothing was changed: {caller}")
    return Names(model, stack, caller.account_id, region, caller.arn.split(":")[1]), state


async def _caller() -> aws.GetCallerIdentityResult | Exception:
    try:
        return await aws.get_caller_identity()
    except Exception as error:
        return error


def _load() -> None:
    """Load what the components use of the SDK; it would load by itself, but then nothing else could go on."""
    for name in SERVICES:
        importlib.import_module(f"pulumi_aws.{name}").outputs  # noqa: B018  an access loads a lazy module


async def champion_of(source: str) -> dict[str, Any]:
    """The release that serves on another stack of this project, by its outputs.

    Raises:
        pulumi.RunError: The stack has no champion.
    """
    reference = pulumi.StackReference(f"{pulumi.get_organization()}/{pulumi.get_project()}/{source}")
    details = await reference.get_output_details("release")
    region = await reference.get_output_details("region")
    release = details.value or {}
    missing = [name for name in RELEASE if not release.get(name)]
    if missing:
        raise pulumi.RunError(
            f"modelstack:promotion.from = {source!r}: this stack has no champion to take (its output `release` "
            f"lacks {', '.join(missing)}). Run `pulumi up` on it first"
        )
    return {**release, "region": region.value}


def image_for(configured: str | None, names: Names, source: dict[str, Any] | None) -> str | None:
    """The serving image: the configured one; else, in the local cloud, a process; else the taken release's."""
    if configured:
        return configured
    if is_local(names.stack):
        return names.process_image
    return source["image_uri"] if source else None


def ask_for_image(names: Names, state: RolloutState) -> None:
    """Say what is needed before a release can be made on AWS: a serving image in the stack's repository.

    Raises:
        pulumi.RunError: A release is live; without the image's name it would be taken down.
    """
    ask = (
        f"modelstack:serving.image is not set, and stack {names.stack!r} is not a local one. Build the image with "
        f"`make image`, push it to the repository {names.repository}, and set its URI with the digest"
    )
    if state.champion is not None or state.challenger is not None:
        raise pulumi.RunError(f"{ask}. Nothing was changed: {names.endpoint} serves a release")
    pulumi.warn(f"{ask}. Until then this stack is a registry only")
