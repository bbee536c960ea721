"""The live state of a stack before its program declares anything, and the release derived from it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pulumi
from pydantic import ValidationError

from modelstack.monitoring.retraining.record import Candidate
from modelstack.program.config.checkout import parameters_through, recipe_of
from modelstack.program.config.model_settings import ModelSettings
from modelstack.program.config.problems import problems
from modelstack.program.config.serving_settings import ServingSettings
from modelstack.program.config.settings import Settings
from modelstack.program.plan.releases import DesiredRelease, wanted_release
from modelstack.rollout.core.live import Live
from modelstack.rollout.core.lost import unknown_variants
from modelstack.rollout.core.release import Release
from modelstack.rollout.core.state import RolloutState
from modelstack.services.release_names import ReleaseNames


def state_and_live(
    journal: Callable[[], RolloutState], live: Callable[[], Live | None]
) -> tuple[RolloutState, Live | None]:
    """The state in the journal and what serves, which a controller may change in between."""
    state, serves = journal(), live()
    return journal() if unknown_variants(state, serves) else state, serves


@dataclass(frozen=True, kw_only=True)
class LiveState(ABC):
    """The live state of a stack before its program declares anything.

    Attributes:
        image: The serving image of a new release; empty while there is none.
        live: What the endpoint serves; None before it exists.
        gone: Whether the journal's object was deleted, so that only its copy is left.
        source: The release taken from another stack; None when the model is trained here.
        candidate: The retrained version whose data window counts; None when the config's own does.
    """

    names: ReleaseNames
    state: RolloutState
    image: str
    provider: pulumi.ProviderResource
    live: Live | None = None
    gone: bool = False
    source: dict[str, Any] | None = None
    candidate: Candidate | None = None

    @abstractmethod
    def shape(self, serving: ServingSettings) -> tuple[str, dict[str, Any]]:
        """The instances of a release as text, and everything else besides the model that defines it."""

    @abstractmethod
    def agreed(self, settings: Settings, wanted: DesiredRelease) -> int:
        """Number of approvals of a release; 0 before the stack's first update."""

    def model(self, settings: Settings) -> ModelSettings:
        """The model settings, with the data window of the newest retraining."""
        if self.candidate is None:
            return settings.model
        parameters = parameters_through(settings.model.parameters, self.candidate.through)
        return settings.model.model_copy(update={"parameters": parameters})

    @property
    def registered(self) -> dict[str, Any] | None:
        """A package that is registered here: a restored one, or the candidate's."""
        if (restored := self.state.restored) is not None:
            names = ("recipe", "package_digest", "archive_uri")
            return {**{name: getattr(restored, name) for name in names}, "restored": True}
        return {**self.candidate.package, "recipe": self.candidate.recipe} if self.candidate else None

    def serving_of_wanted(self, settings: Settings) -> ServingSettings:
        """Serving settings of the desired release: of the config, or of a restored release.

        pulumi.RunError if a restored release was served with what this version does not allow.
        """
        restored = self.state.restored
        if restored is None:
            return settings.serving
        try:
            return ServingSettings.model_validate({**settings.serving.model_dump(), **restored.serving})
        except ValidationError as error:
            wrong = "; ".join(map(str, problems(error, "serving", ServingSettings)))
            raise pulumi.RunError(
                f"release {restored.release} is restored, and was served with what is not allowed now: {wrong}. "
                "Restore another one, or let the config count: modelstack restore --clear"
            ) from None

    def serving_of_champion(self, settings: Settings) -> ServingSettings:
        """Serving settings of the champion."""
        champion, restored = self.state.champion, self.state.restored
        same = champion is not None and restored is not None and champion.id == restored.release
        return self.serving_of_wanted(settings) if same else settings.serving

    def wanted(self, settings: Settings) -> DesiredRelease:
        """The restored release, else the one in the config. A model without a recipe raises pulumi.RunError."""
        if self.state.restored is not None:
            recipe = self.state.restored.recipe
        else:
            recipe = self.source["recipe"] if self.source else recipe_of(self.model(settings).parameters)
        shape = self.shape(self.serving_of_wanted(settings))
        return wanted_release(self.names, recipe, self.image, shape)

    def resized(self, settings: Settings) -> Release | None:
        """The champion on the instances of the config, or of its restored state; None before the first champion."""
        champion = self.state.champion
        if champion is None:
            return None
        instances, serving = self.shape(self.serving_of_champion(settings))
        config = self.names.config_of(champion.model_name, champion.variant, serving)
        return replace(champion, config_name=config, instances=instances, serving=serving)
