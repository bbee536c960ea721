from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import boto3
import pytest
from botocore.response import StreamingBody
from botocore.stub import Stubber

from modelstack.platforms.aws.files import S3Files
from modelstack.rollout.core.errors import RolloutError, Unreachable


@pytest.fixture
def s3() -> Any:
    return boto3.client("s3", region_name="eu-west-1", aws_access_key_id="x", aws_secret_access_key="x")


def read(files: S3Files) -> None:
    with files.read("labels/today.jsonl"):
        pass


@pytest.mark.parametrize(
    ("operation", "act", "doing"),
    [
        ("get_object", read, "read s3://artifacts/labels/today.jsonl"),
        ("put_object", lambda files: files.keep("today", ["{}"]), "put s3://artifacts/labels-rejected/today.jsonl"),
    ],
)
def test_a_file_that_may_not_be_read_or_written_is_named_with_what_to_do(
    s3: Any, operation: str, act: Callable[[S3Files], None], doing: str
) -> None:
    with Stubber(s3) as stub:
        stub.add_client_error(operation, "AccessDenied", "not yours", 403)
        with pytest.raises(RolloutError, match=f"^{doing}: .*not yours; `pulumi up` restores the rights"):
            act(S3Files(lambda _: s3, "artifacts"))


def test_a_file_that_breaks_off_is_read_again_by_the_next_call(s3: Any) -> None:
    with Stubber(s3) as stub:
        stub.add_response("get_object", {"Body": StreamingBody(io.BytesIO(b"{}"), 3)})
        with pytest.raises(Unreachable, match=r"^read s3://artifacts/labels/today\.jsonl"):
            read(S3Files(lambda _: s3, "artifacts"))
