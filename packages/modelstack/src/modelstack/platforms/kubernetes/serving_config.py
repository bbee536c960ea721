"""The config of a route's rules, in an immutable ConfigMap.

The controller writes on the route which config serves, and with which weights.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from modelstack.rollout.stored import read


@dataclass(frozen=True)
class Backend:
    """A variant and its workload: the name of its Deployment, its Service, and the config that serves it alone."""

    variant: str
    workload: str


@dataclass(frozen=True)
class ServingConfig:
    """Champion and challenger of a route.

    Attributes:
        copied: Percent of the requests that are copied to a shadow challenger; None if it serves by its weight.
    """

    name: str
    champion: Backend
    challenger: Backend | None = None
    copied: int | None = None

    @property
    def backends(self) -> tuple[Backend, ...]:
        """Champion and challenger."""
        return (self.champion, *((self.challenger,) if self.challenger else ()))

    def to_json(self) -> str:
        """For the ConfigMap."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> ServingConfig:
        """Parse the output of `to_json`; raises ValueError if it is invalid."""
        try:
            return read(cls, json.loads(text), newer=True, whole=True)
        except (AttributeError, TypeError, KeyError, ValueError) as error:
            raise ValueError(f"no config of a route: {error!r}") from error
