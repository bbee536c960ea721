"""The settings of a server: environment variables named as in SageMaker's containers, see docs/reference/serving.md."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

MOST_WORKERS = 64


class SettingError(Exception):
    """A variable has a wrong value; the message names it and what is allowed."""


@dataclass(frozen=True)
class RuntimeSettings:
    """The settings, see the module; `seconds` is the timeout of a request."""

    manifest_sha256: str
    folder: str
    host: str
    port: int
    workers: int
    seconds: float
    model: str = "model"
    variant: str = ""
    capture: str = ""
    capture_token: str = field(default="", repr=False)
    capture_percent: float = 100.0

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> RuntimeSettings:
        """Read the variables. Raises SettingError for a wrong one."""
        digest = environment.get("MODELSTACK_MANIFEST_SHA256", "")
        if not re.fullmatch("[0-9a-fA-F]{64}", digest):
            raise SettingError(
                f"MODELSTACK_MANIFEST_SHA256 is {digest!r}: expected the manifest's sha256, 64 hexadecimal digits"
            )
        return cls(
            manifest_sha256=digest.lower(),
            folder=str(Path(environment.get("SM_MODEL_DIR", "/opt/ml/model")).resolve()),
            host=environment.get("BIND_HOST", "127.0.0.1"),
            port=int(_number(environment, "SAGEMAKER_BIND_TO_PORT", 8080, "a port", low=1, high=65535)),
            workers=int(
                _number(environment, "SAGEMAKER_MODEL_SERVER_WORKERS", cores(), "processes", low=1, high=MOST_WORKERS)
            ),
            seconds=_number(environment, "SAGEMAKER_MODEL_SERVER_TIMEOUT", 60, "seconds", low=1, high=3600),
            model=environment.get("MODELSTACK_MODEL", "model"),
            variant=_name(environment, "MODELSTACK_VARIANT"),
            capture=environment.get("MODELSTACK_CAPTURE", ""),
            capture_token=environment.get("MODELSTACK_CAPTURE_TOKEN", ""),
            capture_percent=_number(environment, "MODELSTACK_CAPTURE_PERCENT", 100, "percent", low=0, high=100),
        )

    @property
    def named(self) -> bytes:
        """The header lines that name the variant, and by which Envoy counts the answer apart from its own.

        Source: Envoy documentation, "Router", `x-envoy-upstream-canary`.
        """
        line = b"x-modelstack-variant: %b\r\nx-envoy-upstream-canary: true\r\n"
        return line % self.variant.encode() if self.variant else b""


def cores() -> int:
    """Cores that this process may use: its affinity, limited by its control group."""
    bound = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
    except (OSError, ValueError):
        return bound
    return bound if quota == "max" else max(1, min(bound, int(quota) // int(period)))


def _name(environment: Mapping[str, str], name: str) -> str:
    text = environment.get(name, "")
    if not re.fullmatch("[A-Za-z0-9.-]{0,253}", text):
        raise SettingError(f"{name} is {text!r}: expected letters, digits, - and .")
    return text


def _number(environment: Mapping[str, str], name: str, default: float, what: str, *, low: float, high: float) -> float:
    text = environment.get(name, "")
    if not text:
        return default
    if re.fullmatch(r"\d{1,6}", text) and low <= int(text) <= high:
        return int(text)
    raise SettingError(f"{name} is {text!r}: expected {what}, {low:g} to {high:g}")
