"""A stack on the cluster by the genuine engine and plugin, in a backend of its own: gateway, controller, pods."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import yaml

from bench import ROOT
from bench.bed import BenchError, import_path, must
from bench.kubernetes.load import Seen, load
from bench.kubernetes.place import Place, until
from localcloud.setup import Places, applied
from modelstack.cli.local.cluster_image import published
from modelstack.cli.local.stack import Stack
from modelstack.cli.target import LOCAL_CLUSTER
from modelstack.platforms.kubernetes.assembled import assembled, spec_of
from modelstack.platforms.kubernetes.gateway import url
from modelstack.platforms.kubernetes.journal import KubernetesJournal
from modelstack.platforms.kubernetes.kinds import ROUTE
from modelstack.platforms.kubernetes.names import CONTROLLER
from modelstack.platforms.kubernetes.rules import weights
from modelstack.rollout.controller.controller import Controller
from modelstack.rollout.core.errors import RolloutError
from modelstack.rollout.core.state import RolloutState

# A few trees on two weeks of flights, in two pods: how good it is, is not looked at here.
_PARAMETERS = {"max_iter": 5, "folds": 0, "train_from": "2013-02-15", "evaluate_until": "2013-03-04"}
_SERVING = {"instance_count": 2, "capture_percent": 1}
_TRIAL = {
    "wait": True,
    "strategy": {"kind": "steps", "steps": [{"weight": 10, "bake_seconds": 5}, {"weight": 50, "bake_seconds": 5}]},
    "judge": {"min_requests": 50, "metrics": {"errors": {"margin": 0.1}}},
    "replay": None,
    "max_minutes": 15,
}


@dataclass(frozen=True)
class Served:
    """The stack `local-kubernetes`, in a place.

    Attributes:
        place: Where.
        stack: The stack.
        name: Of its Rollout and its route.
    """

    place: Place
    stack: Stack
    name: str

    @property
    def controller(self) -> Controller:
        """A controller beside the one in the cluster, as a person's command has one."""
        return assembled(self.place.api, self.name, spec_of(self.place.api, self.name), by="bench").controller

    @property
    def state(self) -> RolloutState:
        """What the journal says."""
        return KubernetesJournal(self.place.api, self.name).read()

    def shares(self) -> dict[str, int]:
        """Workload -> weight, of those that get anything, by the route."""
        rules = self.place.api.get(ROUTE, self.name)["spec"].get("rules") or []
        return {workload: weight for workload, weight in weights(rules).items() if weight}

    @contextmanager
    def asked(self, rate: float) -> Iterator[Seen]:
        """The model's example at a steady rate, while the block runs."""
        body = (ROOT / "model" / "example_request.json").read_bytes()
        with load(url(self.place.api, self.name), body, rate) as seen:
            yield seen

    def with_trial(self, **changes: Any) -> Stack:
        """The stack, when it tries a release otherwise."""
        return written(self.stack, rollout={**_TRIAL, **changes})


@contextmanager
def served(place: Place) -> Iterator[Served]:
    """Push the images, and bring the stack up.

    Raises:
        BenchError: It does not come up.
    """
    try:
        published(place.section["registry"], lambda text: None)
    except RolloutError as error:
        raise BenchError(f"the images: {error}") from error
    backend = place.folder / "pulumi"
    backend.mkdir()
    environment = {
        **applied(Places.of(ROOT)),
        "PULUMI_BACKEND_URL": backend.as_uri(),
        "PYTHONPATH": import_path(),
    }
    with patch.dict(os.environ, environment, clear=True):
        stack = written(
            Stack(LOCAL_CLUSTER, environment, config=ROOT / "stacks" / f"Pulumi.{LOCAL_CLUSTER}.yaml"),
            place.folder,
            kubernetes=place.section,
            model={"name": "bench", "parameters": _PARAMETERS},
            serving=_SERVING,
            rollout=_TRIAL,
        )
        must(stack.pulumi("stack", "init", stack.name), "pulumi stack init")
        must(stack.up(), "the first pulumi up")
        made = Served(place, stack, f"bench-{stack.name}")
        place.ready(CONTROLLER)
        until(lambda: made.state.at_rest and made.state.champion is not None, "the first release serves")
        yield made


def written(stack: Stack, folder: Path | None = None, **sections: dict[str, Any]) -> Stack:
    """The stack with other values in some sections of its file, in a copy of it."""
    content = stack.written()
    for section, values in sections.items():
        content["config"].setdefault(f"modelstack:{section}", {}).update(values)
    place = folder or (stack.config.parent if stack.config else None)
    handle, name = tempfile.mkstemp(prefix=f"Pulumi.{stack.name}.", suffix=".yaml", dir=place)
    with os.fdopen(handle, "w") as copy:
        yaml.safe_dump(content, copy, sort_keys=False)
    return replace(stack, config=Path(name))
