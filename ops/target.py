"""Which endpoint a command is about: the outputs of a stack, or an endpoint named outright."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from ops.errors import OperatorError

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Target:
    """One stack's endpoint and what surrounds it, and clients for its region."""

    stack: str
    endpoint: str
    region: str
    outputs: Mapping[str, Any]

    @cached_property
    def _clients(self) -> dict[str, Any]:
        return {}

    @cached_property
    def _session(self) -> boto3.Session:
        return boto3.Session(region_name=self.region)

    def client(self, service: str, config: Config | None = None) -> Any:
        """A boto3 client; by default with short time-outs, since a person is waiting."""
        if config is not None:
            return self._session.client(service, config=config)
        if service not in self._clients:
            patient = Config(connect_timeout=3, read_timeout=65, retries={"max_attempts": 3, "mode": "standard"})
            self._clients[service] = self._session.client(service, config=patient)
        return self._clients[service]

    def output(self, name: str) -> str:
        """An output that the stack must have; an OperatorError names it when it is missing."""
        value = self.outputs.get(name)
        if not value:
            raise OperatorError(
                f"stack {self.stack} has no output `{name}`", f"Run `pulumi up --stack {self.stack}` first."
            )
        return str(value)


def resolve(stack: str) -> Target:
    """Read the outputs of `stack` through the Pulumi CLI.

    Raises:
        OperatorError: The CLI is missing, the stack does not exist, or it has not been brought up.
    """
    try:
        done = subprocess.run(
            ["pulumi", "stack", "output", "--json", "--stack", stack, "--non-interactive"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    except FileNotFoundError as error:
        raise OperatorError("the pulumi command is not on PATH", 'Run: eval "$(make -s env)"', 2) from error
    except subprocess.TimeoutExpired as error:
        raise OperatorError(f"pulumi did not answer within {error.timeout:.0f} s") from error
    if done.returncode != 0:
        reason = done.stderr.strip().splitlines()[-1:] or ["no reason given"]
        raise OperatorError(
            f"stack {stack}: {reason[0].removeprefix('error: ')}",
            'See `pulumi stack ls`; for the local stack, `make up` and eval "$(make -s env)".',
            2,
        )
    outputs = json.loads(done.stdout)
    if not outputs.get("endpoint_name"):
        raise OperatorError(f"stack {stack} exists but is not up", f"Run `pulumi up --stack {stack}` first.")
    region = outputs.get("region") or os.environ.get("AWS_REGION", "us-east-1")
    return Target(stack=stack, endpoint=outputs["endpoint_name"], region=region, outputs=outputs)
