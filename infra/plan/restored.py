"""Serving settings of a stack: of the config, or of a restored release."""

from __future__ import annotations

from typing import Any

from infra.config.serving_settings import ServingSettings
from infra.config.settings import Settings
from rollout.core.state import RolloutState

_PACKAGE = ("recipe", "package_digest", "archive_uri")


def serving_of_wanted(state: RolloutState, settings: Settings) -> ServingSettings:
    """Serving settings of the desired release."""
    restored = state.restored
    return settings.serving.model_copy(update=restored.serving) if restored else settings.serving


def serving_of_champion(state: RolloutState, settings: Settings) -> ServingSettings:
    """Serving settings of the champion."""
    champion, restored = state.champion, state.restored
    same = champion is not None and restored is not None and champion.id == restored.release
    return serving_of_wanted(state, settings) if same else settings.serving


def restored_package(state: RolloutState) -> dict[str, Any] | None:
    """The package of a restored release, which is registered here; None without one."""
    restored = state.restored
    return {**{name: getattr(restored, name) for name in _PACKAGE}, "restored": True} if restored else None
