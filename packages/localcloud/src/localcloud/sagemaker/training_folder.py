"""What does a training job find in `/opt/ml`, and what becomes of what it leaves there?

Source: "How Amazon SageMaker AI provides training information" and "Amazon SageMaker AI training storage folders" in
the developer guide. All functions block: call them in a thread.
"""

from __future__ import annotations

import json
import tarfile
from pathlib import Path
from typing import Any

from localcloud.sagemaker.store import Document
from localcloud.sagemaker.transfer import UploadFailed, encryption, fetch, put
from localcloud.server.files import open_to_readers

_HOST = "algo-1"
_GROUP = "homogeneousCluster"
_LONGEST_FAILURE = 1024  # characters of output/failure that AWS takes


def make(folder: Path, job: Document) -> None:
    """Lay out a job's folder with its configuration, without data."""
    config = folder / "input/config"
    for path in (config, folder / "input/data", folder / "model", folder / "output/data"):
        path.mkdir(parents=True)
    instance = job["ResourceConfig"]["InstanceType"]
    written = {
        "hyperparameters": job.get("HyperParameters", {}),
        "inputdataconfig": {channel["ChannelName"]: _as_configured(job, channel) for channel in job["InputDataConfig"]},
        "resourceconfig": {
            "current_host": _HOST,
            "current_instance_type": instance,
            "current_group_name": _GROUP,
            "hosts": [_HOST],
            "instance_groups": [{"instance_group_name": _GROUP, "instance_type": instance, "hosts": [_HOST]}],
            "network_interface_name": "lo",
        },
    }
    for name, document in written.items():
        (config / f"{name}.json").write_text(json.dumps(document))


def download(folder: Path, job: Document, s3: Any) -> None:
    """Bring every channel from S3.

    Raises:
        DownloadFailed: The job's role may not read an object.
    """
    for channel in job["InputDataConfig"]:
        target = folder / "input/data" / channel["ChannelName"]
        target.mkdir()
        fetch(s3, source(channel)["S3Uri"], target)
    open_to_readers(folder)


def upload(folder: Path, job: Document, s3: Any, *, model: bool) -> None:
    """Put what the job left to S3: its model, and what is in `output/data`.

    Args:
        folder: The job's.
        job: Its document.
        s3: A client of its role.
        model: Whether there is a model to put; a job that failed has none.

    Raises:
        UploadFailed: S3 does not take it, or it cannot be read.
    """
    encrypted = encryption(job["OutputDataConfig"].get("KmsKeyId"))
    if model:
        put(s3, _archive(folder / "model"), f"{output(job)}/model.tar.gz", encrypted)
    if any((folder / "output/data").iterdir()):
        put(s3, _archive(folder / "output/data"), f"{output(job)}/output.tar.gz", encrypted)


def output(job: Document) -> str:
    """The `s3://` folder of what a job leaves."""
    return f"{job['OutputDataConfig']['S3OutputPath'].rstrip('/')}/{job['TrainingJobName']}/output"


def source(channel: Document) -> Document:
    """Where a channel's data come from."""
    return channel["DataSource"]["S3DataSource"]


def failure(folder: Path) -> str:
    """What the job says of why it failed; empty when it says nothing."""
    try:
        return (folder / "output/failure").read_text(errors="replace").strip()[:_LONGEST_FAILURE]
    except OSError:
        return ""


def _as_configured(job: Document, channel: Document) -> Document:
    shown = {
        "TrainingInputMode": channel.get("InputMode", job["AlgorithmSpecification"]["TrainingInputMode"]),
        "S3DistributionType": source(channel).get("S3DataDistributionType", "FullyReplicated"),
        "RecordWrapperType": channel["RecordWrapperType"],
    }
    return {"ContentType": channel["ContentType"], **shown} if "ContentType" in channel else shown


def _archive(folder: Path) -> Path:
    archive = folder.with_name(f"{folder.name}.tar.gz")
    try:
        with tarfile.open(archive, "w:gz", compresslevel=6, dereference=True) as tar:
            for path in sorted(folder.iterdir()):
                tar.add(path, path.name)
    except OSError as error:
        raise UploadFailed(f"ClientError: Artifact upload failed: {error}") from error
    return archive
