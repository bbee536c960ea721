"""A release that a person requested to serve again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from modelstack.rollout.reason import Reason


@dataclass(frozen=True)
class Restored:
    """The release that replaces the config's until a person lifts it; `served` is since when it had served."""

    release: str
    recipe: str
    package_digest: str
    archive_uri: str
    image_uri: str
    reason: Reason
    at: float
    served: float
    serving: Mapping[str, Any] = field(default_factory=dict[str, Any])
