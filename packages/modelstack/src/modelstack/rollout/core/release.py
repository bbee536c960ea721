"""A release: one sealed model version, and its names in the cloud."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

ID_DIGITS = 12
PROCESS = "process"
"""The image tag of a process of the local cloud, which runs only what is in the recipe."""
_STORED = {"version": "model_package_arn"}  # field -> its name in journals and outputs, where it differs


def release_id(recipe: str, image: str) -> str:
    """The first 12 hex digits of a digest of recipe (a sha256 in hex) and image, as the endpoint's model names it.

    A process of the local cloud adds nothing to the recipe, so its id is the recipe's: the same on every local stack.
    """
    if image.endswith(f":{PROCESS}"):
        return recipe[:ID_DIGITS]
    both = json.dumps([recipe, image], separators=(",", ":"))
    return hashlib.sha256(both.encode()).hexdigest()[:ID_DIGITS]


def variant(release: str) -> str:
    """The variant that serves a release, by its id."""
    return f"v-{release}"


@dataclass(frozen=True)
class Release:
    """One sealed model version in one serving image, and every name that derives from them.

    The names derive from digests, so two releases with the same name are the same. Two with the same id answer alike,
    whatever their instances. The same recipe in another image is another release, since an image can break a model too.

    Attributes:
        recipe: sha256, in hex, of what determines the model.
        package_digest: `sha256:<hex>` of the sealed archive's bytes.
        archive_uri: `s3://bucket/key`.
        manifest_sha256: sha256, in hex, of the archive's `manifest.json`.
        version: The registry's name of the package, whose approval status holds the verdict. Stored as
            `model_package_arn`.
        config_name: The endpoint config that serves this release alone; a digest of what shaped it.
        instances: Its instances for a person, such as `2 x ml.m5.large`.
        serving: What shaped the config, as in the stack's config; empty in releases from before it was stored.
    """

    id: str
    recipe: str
    package_digest: str
    archive_uri: str
    image_uri: str
    manifest_sha256: str
    version: str
    model_name: str
    variant: str
    config_name: str
    instances: str
    serving: Mapping[str, Any] = field(default_factory=dict[str, Any], compare=False, kw_only=True)

    def __post_init__(self) -> None:
        for one in _texts(self):
            value: object = getattr(self, one)
            if not isinstance(value, str) or not value:
                raise ValueError(f"release.{_STORED.get(one, one)}: got {value!r}, expected a non-empty string")

    def as_dict(self) -> dict[str, Any]:
        """The release as plain JSON values, one key per field."""
        return {_STORED.get(name, name): value for name, value in asdict(self).items()}

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Release:
        """Read back what `as_dict` wrote; ValueError names a field that is missing or not a non-empty string."""
        names = {name: _STORED.get(name, name) for name in _texts(cls)}
        missing = [name for name in names.values() if name not in value]
        if missing:
            raise ValueError(f"release: missing {', '.join(missing)}; expected the fields {', '.join(names.values())}")
        return cls(**{name: value[stored] for name, stored in names.items()}, serving=value.get("serving") or {})


def _texts(of: Release | type[Release]) -> list[str]:
    return [one.name for one in fields(of) if one.name != "serving"]
