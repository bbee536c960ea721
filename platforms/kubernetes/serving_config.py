"""A config: what the rules of a route are made of, kept as an immutable ConfigMap.

    config = ServingConfig.from_json(text)
    config.champion.workload, config.challenger

A config never changes. Which one serves, and with which weights, is written on the route, by the rollout controller.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from rollout.stored import read


@dataclass(frozen=True)
class Backend:
    """A variant and what serves it.

    Attributes:
        variant: The variant.
        workload: Its Deployment and its Service; also the name of the config that serves it alone.
    """

    variant: str
    workload: str


@dataclass(frozen=True)
class ServingConfig:
    """What serves.

    Attributes:
        name: Of the config, and of its ConfigMap.
        champion: What answers when nothing else is said.
        challenger: What is tried beside it; None in a config of one variant.
        copied: How many percent of the requests are copied to the challenger, whose answers are never returned; None
            when it answers by its weight.
    """

    name: str
    champion: Backend
    challenger: Backend | None = None
    copied: int | None = None

    @property
    def backends(self) -> tuple[Backend, ...]:
        """All of them, the champion first."""
        return (self.champion, *((self.challenger,) if self.challenger else ()))

    def to_json(self) -> str:
        """For the ConfigMap."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> ServingConfig:
        """Read back what `to_json` wrote.

        Raises:
            ValueError: It is no config; the message says why.
        """
        try:
            return read(cls, json.loads(text), newer=True, whole=True)
        except (AttributeError, TypeError, KeyError, ValueError) as error:
            raise ValueError(f"no config of a route: {error!r}") from error
