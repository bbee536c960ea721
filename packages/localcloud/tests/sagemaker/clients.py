"""As which clients do these tests ask a real cloud?"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError


def environment(stage: Any) -> dict[str, str]:
    return {
        **os.environ,
        **stage.cloud.environment(),
        "AWS_REGION": "us-east-1",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "SAGEMAKER_USER_CONFIG_OVERRIDE": os.devnull,
    }


def eventually(check: Any, seconds: float = 100) -> Any:
    end = time.monotonic() + seconds
    while not (found := check()):
        assert time.monotonic() < end, "it never came"
        time.sleep(0.1)
    return found


def messages(logs: Any, group: str, prefix: str) -> list[str]:
    try:
        found = logs.filter_log_events(logGroupName=group, logStreamNamePrefix=prefix)
    except ClientError:
        return []
    return [event["message"] for event in found["events"]]


def run_sdk(stage: Any, program: str | Path, *arguments: str, **variables: str) -> None:
    """Run a program, or its text, that asks the stage by AWS's SDK; it prints `done` at its end."""
    words = [str(program)] if isinstance(program, Path) else ["-c", textwrap.dedent(program)]
    done = subprocess.run(
        [sys.executable, "-W", "ignore", *words, *arguments],
        env={**environment(stage), **variables},
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.endswith("done\n")


def aws(stage: Any, *arguments: str) -> Any:
    """What the AWS CLI answers."""
    installed = Path(sys.executable).with_name("aws")
    command = [str(installed) if installed.exists() else "aws", *arguments]
    done = subprocess.run(command, env=environment(stage), capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout) if done.stdout.strip() else None
