"""A stack before its program has declared anything: what is live, and which release is to be made from that."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import pulumi

from infra.config.checkout import parameters_through, recipe_of
from infra.config.model_settings import ModelSettings
from infra.config.serving_settings import ServingSettings
from infra.config.settings import Settings
from infra.plan.releases import DesiredRelease, wanted_release
from infra.plan.restored import restored_package, serving_of_champion, serving_of_wanted
from retraining.record import Candidate
from rollout.core.release import Release
from rollout.core.state import RolloutState
from services.release_names import ReleaseNames


@dataclass(frozen=True, kw_only=True)
class LiveState(ABC):
    """A stack before its program has declared anything.

    Attributes:
        names: The stack's names.
        state: What is live and on trial, by the journal.
        image: The serving image of a new release; empty when there is none yet.
        provider: Makes the package and drives the rollout.
        source: The release that is taken from another stack; None when the model is trained here.
        candidate: The retrained version whose window counts; None when the config's own does.
    """

    names: ReleaseNames
    state: RolloutState
    image: str
    provider: pulumi.ProviderResource
    source: dict[str, Any] | None = None
    candidate: Candidate | None = None

    @abstractmethod
    def shape(self, serving: ServingSettings) -> tuple[str, dict[str, Any]]:
        """What a release runs on, for people, and all that shapes it besides its model."""

    @abstractmethod
    def answer_alarms(self, variant: str) -> Sequence[str]:
        """The alarms on what a variant answers."""

    @abstractmethod
    def agreed(self, settings: Settings, wanted: DesiredRelease) -> int:
        """How many people have approved a release; 0 before the stack's first update.

        Raises:
            RolloutError: The platform does not answer.
        """

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

    def wanted(self, settings: Settings) -> DesiredRelease:
        """The release that is restored, or else the one that the config asks for.

        Raises:
            pulumi.RunError: The model has no recipe.
        """
        if self.state.restored is not None:
            recipe = self.state.restored.recipe
        else:
            recipe = self.source["recipe"] if self.source else recipe_of(self.model(settings).parameters)
        shape = self.shape(serving_of_wanted(self.state, settings))
        return wanted_release(self.names, recipe, self.image, shape)

    def resized(self, settings: Settings) -> Release | None:
        """The champion on what the config asks for, or on what it is restored with; None before the first."""
        champion = self.state.champion
        if champion is None:
            return None
        instances, serving = self.shape(serving_of_champion(self.state, settings))
        config = self.names.config_of(champion.model_name, champion.variant, serving)
        return replace(champion, config_name=config, instances=instances, serving=serving)
