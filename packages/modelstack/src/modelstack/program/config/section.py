"""The base class of config sections, and the field types that several share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo

from modelstack.pipeline.forms import IMAGE
from modelstack.program.config.problems import Allowed

InstanceType = Annotated[
    str,
    Allowed("a SageMaker instance type, such as ml.m5.large"),
    Field(pattern=r"^ml\.[a-z0-9-]+\.[a-z0-9]+$"),
]
Cores = Annotated[
    str,
    Allowed("a number of cores or thousandths of one, such as 2 or 500m"),
    Field(pattern=r"^[1-9]\d{0,5}m?$"),
]
Memory = Annotated[
    str,
    Allowed("an amount of memory, such as 512Mi or 2Gi, of at least 64Mi: no model starts in less"),
    Field(pattern=r"^[1-9]\d{0,5}[KMG]i$|^[1-9]\d{0,5}[kMG]$"),
]
Image = Annotated[str, Allowed(IMAGE.words), Field(pattern=f"^({IMAGE.pattern})$")]
_BYTES = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "k": 10**3, "M": 10**6, "G": 10**9}


def bytes_of(memory: str) -> int:
    """A `Memory` in bytes."""
    number = memory.rstrip("".join(_BYTES))
    return int(number) * _BYTES[memory.removeprefix(number)]


class Section(BaseModel):
    """A section of the config. Unknown fields are errors; values never change.

    `REPLACED` maps fields of earlier versions to what is reported for one that is still in the file.
    """

    REPLACED: ClassVar[Mapping[str, str]] = {}

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


def stack_of(info: ValidationInfo) -> str:
    """The validated stack, which is the context of the validation; empty when a section is made by itself."""
    return info.context or ""
