"""The stack of a program, and its models: what `infra/__main__.py` composes.

    stack = await Stack.read()
    stack.registry()
    for model in await stack.build():
        model.rollout(after=[model.serving(), model.monitoring()])

Loading this module must not take long: the platform's provider starts in `Stack.read`.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

import pulumi
from pulumi.runtime.config import CONFIG

from modelstack.program.options import Opts, expect, once
from modelstack.services.platform_registry import DEFAULT, UnknownPlatform, platform

if TYPE_CHECKING:
    from modelstack.program.aws.stack import AwsModel, AwsStack
    from modelstack.program.config.settings import Settings
    from modelstack.program.kubernetes.stack import KubernetesModel, KubernetesStack
    from modelstack.program.live_state import LiveState
    from modelstack.program.package import Package
    from modelstack.program.providers.driving import DrivingProvider
    from modelstack.program.release_request import ReleaseRequest
    from modelstack.program.trial import Rollout


_M_co = TypeVar("_M_co", bound="Model", covariant=True)


class Stack(ABC, Generic[_M_co]):
    """A stack as its config and its live state request it: what its models share, and the models.

    Each method that declares something does so at its first call, and returns the same component later. `opts` are
    Pulumi's options of that component, such as `protect`, `parent` and `transformations`, which its resources inherit.

    Attributes:
        name: The name of the Pulumi stack.
        settings: The stack's config, checked.
        aws: The stack with everything that only AWS has; None on other platforms.
        kubernetes: The stack with everything that only a cluster has; None on other platforms.
    """

    OUTPUTS: ClassVar[tuple[str, ...]]
    """The names of all outputs; one that is not known is null."""
    aws: AwsStack | None = None
    kubernetes: KubernetesStack | None = None

    def __init__(self, name: str, settings: Settings) -> None:
        self.name, self.settings = name, settings
        self._models: Sequence[_M_co] = ()

    @property
    def models(self) -> Sequence[_M_co]:
        """All models of the stack; none without an image that could serve one."""
        return self._models

    @staticmethod
    async def read() -> Stack[Model]:
        """Read the config and the live state, and plan the update. Nothing is declared.

        Raises:
            pulumi.RunError: The config, the model, or what is live forbids the update; nothing was changed.
        """
        config = CONFIG.get()
        with suppress(UnknownPlatform):  # which is reported with all that is wrong in the config
            if begin := platform(config.get("modelstack:platform", DEFAULT)).begin:
                await resolve_name(begin)()
        read = await asyncio.to_thread(resolve_name, "modelstack.program.declaration:read")
        return await read(config, pulumi.get_stack())

    @abstractmethod
    def registry(self, *, opts: Opts = None) -> pulumi.ComponentResource | None:
        """The store of packages and their versions. None if the stack uses an existing one."""

    @abstractmethod
    def controller(self, *, opts: Opts = None) -> pulumi.ComponentResource | None:
        """The rollout controller. None if another stack declares it."""

    @abstractmethod
    def outputs(self) -> Mapping[str, Any]:
        """The outputs that are known before the first release."""

    async def build(self) -> Sequence[_M_co]:
        """Declare the registry and the packages. Returns the models that have a release which serves or may serve.

        A package that is to be released is waited for: it is trained, checked, sealed and registered.

        Raises:
            pulumi.RunError: A package is refused, with the reason and the numbers.
        """
        self.registry()
        for model in self.models:
            model.package()
        ready = [model for model in self.models if await model.may_serve()]
        if not ready:
            self.export(*(model.update.agreement() for model in self.models))
        return ready

    def export(self, *more: Mapping[str, Any]) -> None:
        """Export all outputs of the stack."""
        known = dict(self.outputs())
        for each in more:
            known |= each
        resolve_name("modelstack.program.outputs:export")(known, self.OUTPUTS)


class Model(ABC):
    """One model of a stack: its package, what serves and watches it, and the rollout of its release.

    Its methods declare like those of `Stack`.

    Attributes:
        now: What is live, read before anything was declared.
        update: The release that the config requests: its `plan`, and the approvals that it needs.
        aws: The model with everything that only AWS has; None on other platforms.
        kubernetes: The model with everything that only a cluster has; None on other platforms.
    """

    aws: AwsModel | None = None
    kubernetes: KubernetesModel | None = None

    def __init__(self, stack: Stack[Model], now: LiveState, update: ReleaseRequest) -> None:
        self._stack, self.now, self.update = stack, now, update
        self.settings, self.plan = stack.settings, update.plan
        self.objective = self.settings.slo.objective(stack.name)

    @property
    def stack(self) -> Stack[Model]:
        """What it shares with other models."""
        return self._stack

    @property
    def name(self) -> str:
        """The name of the model, as in `modelstack:model.name`."""
        return self.now.names.model

    @property
    def variants(self) -> tuple[str, ...]:
        """The names of all variants that may serve during this update. Metrics have them as a dimension or label."""
        return tuple(dict.fromkeys(item.variant for item in self.plan.releases))

    @abstractmethod
    def package(self, *, opts: Opts = None) -> Package:
        """The sealed package of the requested release, and its entry in MLflow if there is one.

        Outputs are `package_digest`, `archive_uri`, `image_uri`, `manifest_sha256`, `metrics`, `signed_by` (the public
        key, PEM), and `refused`: why there is no package, or empty.
        """

    @abstractmethod
    def serving(self, *, opts: Opts = None) -> pulumi.ComponentResource:
        """The endpoint, and what serves the releases of the plan."""

    @abstractmethod
    def monitoring(self, *, dashboard: bool = True, opts: Opts = None) -> pulumi.ComponentResource:
        """The alarms, the measurement of drift and labels, and a dashboard."""

    def retraining(self, *, opts: Opts = None) -> pulumi.ComponentResource | None:
        """The retraining of a model that degrades; None unless `modelstack:retraining.enabled` is true."""
        return None

    @property
    @abstractmethod
    def driver(self) -> DrivingProvider:
        """The provider of the rollout."""

    @property
    @abstractmethod
    def place(self) -> Mapping[str, str]:
        """The provider's inputs: where the journal is."""

    def outputs(self, package: Package) -> Mapping[str, Any]:
        """The outputs of a model that serves, besides those of every platform."""
        return {}

    def needs(self) -> list[pulumi.Resource]:
        """What every rollout needs: alarms, and a controller that honours them."""
        self.retraining()
        controller = self.stack.controller()
        return [self.monitoring(), *([controller] if controller else [])]

    @once
    def rollout(self, *, after: Sequence[pulumi.Resource], opts: Opts = None) -> Rollout:
        """The rollout of the requested release; it begins once all resources of `after` exist.

        Name what serves in `after`, and every alarm of the program's own that may roll the release back. The
        library's monitoring and controller need not be named; what is not declared yet of them is declared now.

        Outputs are `champion` and `challenger` (digests of packages), `release`, `metrics`, `outcome` and `why`. The
        stack's outputs are exported here, so the program may export others of the same names later.

        The update waits for the outcome. If the release is not promoted, the update fails at the end of the program,
        with the cause and its numbers; what the program declared stays, and the outputs are correct.

        Raises:
            pulumi.RunError: `after` has something that is no resource.
        """
        from modelstack.program import outputs as exported  # noqa: PLC0415 - loaded while the provider starts
        from modelstack.program.trial import Rollout  # noqa: PLC0415

        for item in after:
            expect("rollout(after=[...])", item, pulumi.Resource)
        package = self.package()
        rollout = Rollout(
            "rollout",
            self.driver,
            self.now,
            package,
            self.plan,
            trial_plan=self.update.trial_plan,
            place=self.place,
            wait=self.settings.trial.wait,
            after=[*self.needs(), *after],
            opts=opts,
        )
        self.stack.export(
            exported.of_champion(package, rollout),
            exported.of_objective(self.objective, self.settings),
            self.outputs(package),
            self.update.agreement(),
        )
        # The SDK waits for every output before the program ends, and raises what one of them raised.
        pulumi.Output.from_input(self.update.end(package, rollout, waits=self.settings.trial.wait))
        return rollout

    async def may_serve(self) -> bool:
        """Whether anything serves, or may, once the package is known; see `Stack.build`."""
        return await self.update.may_serve(self.package())
