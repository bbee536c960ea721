"""A release: one sealed model version and the cloud names it goes by."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

ID_DIGITS = 12
PROCESS = "process"
"""The tag of an image that stands for a process of the local cloud, which runs nothing but what the recipe holds."""
_STORED = {"version": "model_package_arn"}
"""Field -> its name in journals and outputs, where that is another one."""


def release_id(recipe: str, image: str) -> str:
    """What a release is called: the first 12 hex digits of a digest of what answers.

    That is the model and the container that serves it. A process of the local cloud adds nothing to the recipe, whose
    own digest it is then: the same on every local stack.

    Args:
        recipe: sha256, in hex, of what determines the model.
        image: The serving image, as the endpoint's model names it.
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

    The names derive from digests, so two releases with one name are one release. Two with one id answer alike, whatever
    their instances; the same recipe in another image is another release, since an image can break a model too.

    Attributes:
        id: What a person reads, by `release_id`.
        recipe: sha256, in hex, of what determines the model.
        package_digest: `sha256:<hex>` of the sealed archive's bytes.
        archive_uri: Where the archive lies, `s3://bucket/key`.
        image_uri: The serving container.
        manifest_sha256: sha256, in hex, of the archive's `manifest.json`.
        version: What the registry calls the registered package, whose approval status carries the verdict. Stored as
            `model_package_arn`.
        model_name: The model in the serving platform.
        variant: The production variant that serves this release, `v-<id>`.
        config_name: The endpoint config that serves this release alone.
        instances: What it runs on there, as a person reads it, such as `2 x ml.m5.large`; the config's name hides it.
        serving: The same as the stack's config has it, field -> value, with all else that shaped the config, whose name
            is a digest of it; empty of a release from before this was kept.
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
        """The release as plain JSON values, one key a field, as it is stored."""
        return {_STORED.get(name, name): value for name, value in asdict(self).items()}

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Release:
        """Read back what `as_dict` wrote.

        Raises:
            ValueError: A field is missing or is not a non-empty string; the message names it.
        """
        names = {name: _STORED.get(name, name) for name in _texts(cls)}
        missing = [name for name in names.values() if name not in value]
        if missing:
            raise ValueError(f"release: missing {', '.join(missing)}; expected the fields {', '.join(names.values())}")
        return cls(**{name: value[stored] for name, stored in names.items()}, serving=value.get("serving") or {})


def _texts(of: Release | type[Release]) -> list[str]:
    """The fields that are never empty."""
    return [one.name for one in fields(of) if one.name != "serving"]
