"""The program of a training job, as SageMaker runs it: a folder, an environment, and a status."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import boto3
import pytest

from modelstack.pipeline.build import SealedPackage
from modelstack.pipeline.recipe import recipe
from tests.pipeline.conftest import appending, resealed

pytestmark = pytest.mark.e2e  # each runs the program, and steps in processes of their own

ROOT = Path(__file__).resolve().parents[5]
IMAGE = "000000000000.dkr.ecr.us-east-1.amazonaws.com/daily-serving:process"


class JobFolder:
    """What SageMaker lays out for a job, with a bucket and a group of its own."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder, self.name = folder, f"retrain-{uuid4().hex[:12]}"
        self.keys = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_ENDPOINT_URL": url}
        session = boto3.Session("test", "test", region_name="us-east-1")
        self.clients = cache(partial(session.client, endpoint_url=url))
        self.clients("s3").create_bucket(Bucket=self.name)
        self.clients("sagemaker").create_model_package_group(ModelPackageGroupName=self.name)
        made = self.clients("kms").create_key(KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY")
        self.signing_key = made["KeyMetadata"]["Arn"]

    def lay_out(self, champion: SealedPackage, through: str, **more: str) -> None:
        facts = {"package_digest": champion.digest, "manifest_sha256": champion.manifest_sha256}
        release = {**facts, "archive_uri": f"s3://{self.name}/packages/c/model.tar.gz", "image_uri": IMAGE}
        given = {"through": through, "champion": json.dumps(release), "gates": "{}", "region": "us-east-1"}
        named = {"bucket": self.name, "group": self.name, "signing_key": self.signing_key}
        named |= {"report": "retraining/j/report.json", "min_gain": "0"}
        for name, content in (
            ("input/config/hyperparameters.json", json.dumps({**given, **named, **more}).encode()),
            ("input/data/champion/model.tar.gz", champion.path.read_bytes()),
        ):
            (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / name).write_bytes(content)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "modelstack.platforms.aws.jobs.retrain", *(arguments or ("train",))],
            cwd=ROOT,
            env={**os.environ, **self.keys, "OPT_ML": str(self.folder)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str) -> tuple[int, str, str]:
        process = self.start(*arguments)
        said, wrong = process.communicate()
        return process.returncode, said, wrong

    def report(self) -> dict[str, Any]:
        body = self.clients("s3").get_object(Bucket=self.name, Key="retraining/j/report.json")["Body"]
        return json.loads(body.read())

    def versions(self) -> list[dict[str, Any]]:
        listed = self.clients("sagemaker").list_model_packages(ModelPackageGroupName=self.name)
        return listed["ModelPackageSummaryList"]

    @property
    def failure(self) -> str:
        return (self.folder / "output" / "failure").read_text()


@pytest.fixture
def job(tmp_path: Path, moto_url: str) -> JobFolder:
    return JobFolder(tmp_path / "opt-ml", moto_url)


def test_a_model_is_retrained_and_reported_to_be_better(job: JobFolder, champion: SealedPackage, daily: Path):
    job.lay_out(champion, "2013-02-20", gates=json.dumps({"accuracy": {"min": 0.2}}))
    status, said, wrong = job.run()
    assert status == 0, wrong
    report = job.report()
    assert report["outcome"] == "better", report["why"]
    assert (report["changes"], report["through"]) == ({"until": 43}, "2013-02-20")
    assert report["recipe"] == recipe(daily, {"until": 43}).digest
    compared = report["comparison"]
    assert (compared["loss"], compared["days"]) == ("log_loss", 7)
    assert (compared["from"], compared["until"]) == ("2013-02-13", "2013-02-20")
    assert 0 < compared["low"] <= compared["gain"] <= compared["high"]
    assert said.splitlines()[-1] == f"better: {report['why']}"
    assert len(job.versions()) == 1
    assert sorted(one.name for one in job.folder.iterdir()) == ["input"], "it leaves nothing behind"


def test_a_refusal_is_a_report_and_no_failure_of_the_job(job: JobFolder, champion: SealedPackage):
    job.lay_out(champion, "2013-02-20", gates=json.dumps({"accuracy": {"min": 0.99}}))
    status, said, _ = job.run()
    assert status == 0
    assert said.splitlines()[0] == f"verified the champion, {champion.recipe[:12]}"
    report = job.report()
    assert (report["outcome"], report["package"]) == ("refused", None)
    assert "min 0.99" in report["why"]
    assert not (job.folder / "output").exists()


def test_changed_bytes_are_a_failure_with_its_reason_and_no_report(job: JobFolder, champion: SealedPackage):
    job.lay_out(champion, "2013-02-20")
    with (job.folder / "input/data/champion/model.tar.gz").open("ab") as archive:
        archive.write(b"x")
    status, said, wrong = job.run()
    assert (status, said) == (1, "")
    assert job.failure.startswith("the champion's archive is refused, nothing of it was run: ")
    assert f"expected {champion.digest}" in job.failure
    assert wrong == job.failure + "\n", "in words, without a traceback"
    assert job.clients("s3").list_objects_v2(Bucket=job.name)["KeyCount"] == 0


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda file: file.unlink(), "hyperparameters: [Errno 2] No such file"),
        (lambda file: file.write_text("{"), "hyperparameters: Expecting property name"),
        (
            lambda file: file.write_text("{}"),
            "hyperparameters: through, bucket, group, region, signing_key, report, champion, gates",
        ),
    ],
)
def test_a_job_without_settings_fails_in_words(
    job: JobFolder, champion: SealedPackage, spoil: Callable[[Path], object], said: str
):
    job.lay_out(champion, "2013-02-20")
    spoil(job.folder / "input/config/hyperparameters.json")
    assert job.run()[0] == 1
    assert job.failure.startswith(said)


def test_a_bucket_that_takes_no_report_is_a_failure(job: JobFolder, champion: SealedPackage):
    job.lay_out(champion, "2013-01-02", bucket=f"{job.name}-none")
    assert job.run()[0] == 1
    assert "NoSuchBucket" in job.failure


def test_another_command_is_refused(job: JobFolder):
    status, _, wrong = job.run("serve")
    assert (status, wrong) == (2, "command 'serve' is not known: expected train\n")


def test_a_job_that_is_stopped_ends_its_steps_and_leaves_nothing(
    job: JobFolder, champion: SealedPackage, tmp_path: Path
):
    sleeping = appending("training.py", "def train(*_):\n    import time; time.sleep(1000)")
    job.lay_out(resealed(champion, tmp_path / "sleeping", sleeping), "2013-02-20")
    process = job.start()
    assert process.stdout is not None
    while "fit a sample" not in (line := process.stdout.readline()):
        assert line, "it ended before it trained"
    (step,) = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    process.send_signal(signal.SIGTERM)
    process.communicate()
    assert process.returncode == 128 + signal.SIGTERM
    deadline = time.monotonic() + 100
    while Path(f"/proc/{step}").exists():
        assert time.monotonic() < deadline, "the step outlived its job"
        time.sleep(0.02)
    assert sorted(one.name for one in job.folder.iterdir()) == ["input"]
