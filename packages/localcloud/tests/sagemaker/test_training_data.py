"""What comes from S3 into a job's folder, and what goes back."""

from __future__ import annotations

import json
from typing import Any

import pytest

from localcloud.sagemaker.transfer import DownloadFailed, UploadFailed, fetch, put

from .asked import job_of
from .conftest import run
from .fakes import FakeAws
from .test_training_jobs import archived, seen


@pytest.fixture
def s3() -> FakeAws:
    return FakeAws()


def files(folder: Any) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("prefix", "found"),
    [
        ("a/train", {"x": b"1", "deep/y": b"2", "train-2": b"3"}),
        ("a/train/", {"x": b"1", "deep/y": b"2"}),
        ("a/train-", {"train-2": b"3"}),
        ("a/train-2", {"train-2": b"3"}),
        ("", {"a/train/x": b"1", "a/train/deep/y": b"2", "a/train-2": b"3", "b": b"4"}),
    ],
)
def test_objects_go_where_their_keys_say_below_the_prefix(s3, tmp_path, prefix, found):
    objects = {"a/train/": b"", "a/train/x": b"1", "a/train/deep/y": b"2", "a/train-2": b"3", "b": b"4"}
    s3.objects = {("data", key): body for key, body in objects.items()} | {("other", "a/train/z"): b"5"}
    fetch(s3, f"s3://data/{prefix}", tmp_path)
    assert files(tmp_path) == found


@pytest.mark.parametrize("key", ["train/../../x", "train//x", "train/./x"])
def test_a_key_that_is_no_path_is_refused(s3, tmp_path, key):
    s3.objects["data", key] = b"1"
    with pytest.raises(DownloadFailed, match="has an illegal char sub-sequence in it"):
        fetch(s3, "s3://data/train", tmp_path / "inside")
    assert files(tmp_path) == {}


def test_an_object_that_may_not_be_read_fails_the_download(s3, tmp_path):
    s3.objects["data", "train/x"] = b"1"
    s3.refused.add("GetObject")
    with pytest.raises(DownloadFailed, match=r"ClientError: Data download failed:s3://data/train: .*AccessDenied"):
        fetch(s3, "s3://data/train", tmp_path)


def test_a_file_that_is_not_there_cannot_be_put(s3, tmp_path):
    with pytest.raises(UploadFailed, match="ClientError: Artifact upload failed:s3://data/x: "):
        put(s3, tmp_path / "none", "s3://data/x")


@pytest.mark.e2e
def test_the_configuration_files_say_what_the_request_said(inside):
    inside.aws.objects["data", "train/a"] = b"1"

    async def scenario() -> None:
        async with inside.running():
            request = job_of("j", ("train",), depth="3")
            request["InputDataConfig"][0]["ContentType"] = "text/csv"
            await inside.call("CreateTrainingJob", **request)
            await inside.over("j")
        config = seen(inside, "j")["config"]
        assert config["hyperparameters"] == {"depth": "3"}
        assert config["inputdataconfig"] == {
            "train": {
                "ContentType": "text/csv",
                "TrainingInputMode": "File",
                "S3DistributionType": "FullyReplicated",
                "RecordWrapperType": "None",
            }
        }
        assert config["resourceconfig"]["current_instance_type"] == "ml.m5.large"

    run(scenario())


@pytest.mark.e2e
def test_data_that_cannot_be_read_fail_the_job(inside):
    inside.aws.objects["data", "train/a"] = b"1"
    inside.aws.refused.add("GetObject")

    async def scenario() -> None:
        async with inside.running():
            await inside.job("j", ("train",))
            job = await inside.over("j")
        assert job["TrainingJobStatus"] == "Failed"
        assert job["FailureReason"].startswith("ClientError: Data download failed:s3://data/train: ")

    run(scenario())


@pytest.mark.e2e
def test_the_model_is_put_encrypted_by_the_key_that_was_asked_for(inside):
    put_object, kept = inside.aws.put_object, {}

    def noticed(Bucket: str, Key: str, Body: Any, **encryption: str) -> None:
        kept[Key] = encryption
        put_object(Bucket, Key, Body)

    inside.aws.put_object = noticed

    async def scenario() -> None:
        async with inside.running():
            request = job_of("j", files=json.dumps({"output/data/a/b": "x"}))
            request["OutputDataConfig"]["KmsKeyId"] = "alias/k"
            await inside.call("CreateTrainingJob", **request)
            await inside.over("j")
        encrypted = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": "alias/k"}
        assert kept == {"out/j/output/model.tar.gz": encrypted, "out/j/output/output.tar.gz": encrypted}
        assert archived(inside, "out/j/output/output.tar.gz") == {"a/b": b"x"}

    run(scenario())
