"""The section `modelstack:serving`: instances and request capture."""

from __future__ import annotations

from pydantic import Field, field_validator

from modelstack.program.config.problems import NotAllowed
from modelstack.program.config.section import Cores, Image, InstanceType, Memory, Section, bytes_of

_LEAST_MEMORY = 64 * 2**20
"""Bytes of a pod; the serving runtime alone needs more. `Memory` repeats the number."""


class ServingSettings(Section):
    """The instances behind a release."""

    instance_type: InstanceType = Field(default="ml.m5.large", description="On AWS: what a variant runs on.")
    instance_count: int = Field(default=1, ge=1, le=100, description="Instances, or pods, per variant.")
    max_instance_count: int | None = Field(
        default=None,
        ge=2,
        le=100,
        description="On Kubernetes: up to how many pods a variant grows under load; instance_count is the least then. "
        "Pods are added above 70% of the cpu that they request. Null: always instance_count.",
    )
    cpu: Cores = Field(default="500m", description="On Kubernetes: the cores of a pod, requested and no limit.")
    memory: Memory = Field(default="512Mi", description="On Kubernetes: the memory of a pod, requested and limited.")
    image: Image | None = Field(
        default=None,
        description="The serving image. Null: on a local stack, a process serves; elsewhere only the registry is "
        "made, so that you can push the image to it.",
    )
    capture_percent: int = Field(
        default=100,
        ge=0,
        le=100,
        description="Percent of requests whose copies are kept (captured), for drift, labels and the replay gate.",
    )

    @field_validator("memory")
    @classmethod
    def _starts(cls, memory: str) -> str:
        if bytes_of(memory) < _LEAST_MEMORY:
            raise NotAllowed
        return memory

    @property
    def instances(self) -> str:
        """Instances on AWS, as in `Release`."""
        return f"{self.instance_count} x {self.instance_type}"

    @property
    def pods(self) -> str:
        """Pods on Kubernetes, as in `Release`."""
        most = f" to {self.max_instance_count}" if self.max_instance_count else ""
        return f"{self.instance_count}{most} x {self.cpu}/{self.memory}"
