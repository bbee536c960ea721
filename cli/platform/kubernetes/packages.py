"""The ModelPackages of an endpoint, the newest first."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from cli.platform.facts import Package, PackageView
from platforms.kubernetes.api import Api
from platforms.kubernetes.kinds import PACKAGE
from platforms.kubernetes.model_packages import told_of
from platforms.kubernetes.names import ENDPOINT
from rollout.core.release import release_id

_NOT_LINEAGE = {"image", "archive", "metrics"}
_PENDING = "PendingManualApproval"


def read(api: Api, endpoint: str, limit: int) -> list[Package]:
    """The newest ones.

    Raises:
        RolloutError: The API server does not tell.
    """
    return all_of(api, endpoint)[:limit]


def all_of(api: Api, endpoint: str) -> list[Package]:
    """All of them; raises as `read`."""
    found = sorted(api.list(PACKAGE, {ENDPOINT: endpoint}), key=_made)
    return [package(item, number) for number, item in enumerate(found, 1)][::-1]


def _made(item: Mapping[str, Any]) -> tuple[str, str]:
    return item["metadata"].get("creationTimestamp", ""), item["metadata"]["name"]


def package(item: Mapping[str, Any], number: int) -> Package:
    """What a ModelPackage says; its number is its place in the order in which they were made."""
    spec, status, metadata = item["spec"], item.get("status") or {}, item["metadata"]
    made = datetime.fromisoformat(metadata["creationTimestamp"])
    recipe, image = spec.get("recipe", ""), spec.get("image", "")
    view = PackageView(
        version=number,
        release=release_id(recipe, image) if recipe else "",
        digest=spec.get("digest", ""),
        approval=status.get("approval", _PENDING),
        created=made.isoformat(timespec="seconds"),
        metrics={name: _digits(value) for name, value in sorted((spec.get("metrics") or {}).items())},
    )
    return Package(
        view=view,
        name=f"{metadata['namespace']}/{metadata['name']}",
        made=made,
        why=status.get("why", ""),
        image=image,
        archive=spec.get("archive", ""),
        lineage={_word(name): str(spec[name]) for name in sorted(spec.keys() - _NOT_LINEAGE)} | told_of(item),
    )


def _digits(value: Any) -> str:
    """A metric with the digits that AWS's registry keeps of it."""
    return f"{value:.6g}" if isinstance(value, (int, float)) else str(value)


def _word(name: str) -> str:
    """A field's name as the console writes names: `manifestSha256` is `manifest_sha256`."""
    plain = "".join(f"_{sign.lower()}" if sign.isupper() else sign for sign in name)
    return "package_digest" if plain == "digest" else plain
