"""The champion of another stack on Kubernetes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from modelstack.program.source import not_known
from modelstack.rollout.core.errors import RolloutError
from modelstack.rollout.core.state import StateError


def champion(source: str, outputs: Mapping[str, Any], _account: str | None) -> dict[str, Any] | None:
    """The champion of a stack, or None; with the `context` of its cluster and the `bucket` of its packages."""
    from modelstack.platforms.kubernetes.answers import Forbidden  # noqa: PLC0415  slow to load, and most stacks train
    from modelstack.platforms.kubernetes.api import Api  # noqa: PLC0415
    from modelstack.platforms.kubernetes.journal import KubernetesJournal  # noqa: PLC0415

    if not (outputs.get("endpoint_name") and outputs.get("namespace")):
        return None
    context = outputs.get("context")
    try:
        api = Api.of(context or None, outputs["namespace"])
        found = KubernetesJournal(api, outputs["endpoint_name"]).read().champion
    except Forbidden as error:
        more = f". Does modelstack:promotion.to of {source} name a group that you are in?"
        raise not_known(source, error, more) from None
    except (RolloutError, StateError) as error:
        raise not_known(source, error) from None
    return {**found.as_dict(), "context": context or "", "bucket": outputs.get("bucket")} if found else None
