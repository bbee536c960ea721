"""A release that a person requested to serve again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from rollout.reason import Reason


@dataclass(frozen=True)
class Restored:
    """The release that replaces the config's, until a person lifts it; times are epoch seconds.

    Attributes:
        package_digest: `sha256:<hex>` of the sealed archive's bytes.
        served: Since when it had served.
        serving: As in `Release`; if empty, the config's applies.
    """

    release: str
    recipe: str
    package_digest: str
    archive_uri: str
    image_uri: str
    reason: Reason
    at: float
    served: float
    serving: Mapping[str, Any] = field(default_factory=dict[str, Any])
