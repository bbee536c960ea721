"""What is loaded ahead, while the providers start."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.slow
def test_all_of_the_sdk_that_the_components_use_is_loaded_ahead() -> None:
    code = "import sys; from modelstack.program.aws import stack_now; stack_now._load(); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert {"pulumi_aws.cloudwatch.metric_alarm", "pulumi_aws.sns.topic", "pulumi_aws.sqs.queue"} <= set(loaded)
