"""A release that a person asked to serve again: what it was, and who asked for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from rollout.reason import Reason


@dataclass(frozen=True)
class Restored:
    """What is wanted in place of what the config asks for, until a person lifts it.

    Attributes:
        release: The release's id.
        recipe: sha256, in hex, of what determines the model.
        package_digest: `sha256:<hex>` of the sealed archive's bytes.
        archive_uri: Where the archive lies.
        image_uri: The serving container.
        reason: Who asked for it, and why.
        at: When, epoch seconds.
        served: Since when it had served, epoch seconds.
        serving: What it served with, as `Release` has it; empty when that was not kept: then the config's counts.
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
