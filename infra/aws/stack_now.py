"""A stack as it is now: where it is, what is live there, and which release it takes from another stack."""

from __future__ import annotations

import asyncio
import gc
import importlib
from dataclasses import dataclass, replace
from typing import Any

import pulumi
import pulumi_aws as aws

from infra.aws.account import check_account, own_account
from infra.aws.hosting import shape_of, wanted_release
from infra.aws.journal import recorded
from infra.config.checkout import parameters_through, recipe_of
from infra.config.model_settings import ModelSettings
from infra.config.settings import Settings
from infra.config.target import is_local
from infra.plan.releases import Wanted
from infra.plan.restored import restored_package, serving_of_champion, serving_of_wanted
from infra.source import champion_of
from platforms.aws.names import Names, prefix
from retraining.record import Candidate, Record, standing
from rollout.core.release import Release
from rollout.core.state import RolloutState

SERVICES = ("cloudwatch", "dynamodb", "ecr", "iam", "kms", "lambda_", "s3", "sagemaker", "scheduler", "sns", "sqs")


@dataclass(frozen=True)
class StackNow:
    """A stack before its program has declared anything.

    Attributes:
        names: The stack's names.
        state: What is live and on trial, by the journal.
        source: The release that is taken from another stack; None when the model is trained here.
        image: The serving image of a new release; None when there is none yet.
        candidate: The retrained version whose window counts; None when the config's own does.
        adopted: The endpoint that an earlier update made and did not keep; None when there is none, or it was kept.
        provider: Makes the package and drives the rollout.
    """

    names: Names
    state: RolloutState
    source: dict[str, Any] | None
    image: str | None
    candidate: Candidate | None
    adopted: str | None
    provider: pulumi.ProviderResource

    def model(self, settings: Settings) -> ModelSettings:
        """What is trained: as the config has it, on the data that the newest retraining knows."""
        if self.candidate is None:
            return settings.model
        parameters = parameters_through(settings.model.parameters, self.candidate.through)
        return settings.model.model_copy(update={"parameters": parameters})

    @property
    def registered(self) -> dict[str, Any] | None:
        """The package that is registered here already: a restored one, or the candidate's; None without one."""
        own = {**self.candidate.package, "recipe": self.candidate.recipe} if self.candidate else None
        return restored_package(self.state) or own

    def wanted(self, settings: Settings, image: str) -> Wanted:
        """The release that is restored, or else the one that the config asks for, served by an image.

        Raises:
            pulumi.RunError: The model has no recipe.
        """
        restored = self.state.restored
        if restored is not None:
            return wanted_release(self.names, restored.recipe, image, serving_of_wanted(self.state, settings))
        recipe = self.source["recipe"] if self.source else recipe_of(self.model(settings).parameters)
        return wanted_release(self.names, recipe, image, settings.serving)

    def resized(self, settings: Settings) -> Release | None:
        """The champion on the instances that the config asks for; None before the first."""
        champion = self.state.champion
        if champion is None:
            return None
        serving = serving_of_champion(self.state, settings)
        shape = shape_of(serving)
        config = self.names.config_of(champion.model_name, champion.variant, shape)
        return replace(champion, config_name=config, instances=serving.instances, serving=shape)

    def answer_alarms(self, variant: str) -> tuple[str, ...]:
        """The alarms on what a variant answers."""
        return self.names.answer_alarms(variant)

    def agreed(self, settings: Settings, wanted: Wanted) -> int:
        """How many people have approved a release, by the bucket; 0 before the stack's first update."""
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
    return StackNow(names, state, source, image, candidate, adopted, provider)


async def _live(model: str, stack: str, region: str) -> tuple[Names, RolloutState, Record]:
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
