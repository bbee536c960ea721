"""What does a processing job find in `/opt/ml`, and what becomes of what it leaves there?

Source: "How Amazon SageMaker Processing configures input and output for your processing container" and "How to save
metadata from your processing container" in the developer guide. All functions block: call them in a thread.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from localcloud.sagemaker.processing_status import described, inputs, outputs
from localcloud.sagemaker.store import Document
from localcloud.sagemaker.transfer import encryption, fetch, put_all
from localcloud.server.files import open_to_readers

_ROOT = "/opt/ml/"
PLACES = "/opt/ml/processing/"
"""Where inputs and outputs are."""

_HOST = "algo-1"
_LONGEST_MESSAGE = 1024  # characters of output/message that AWS takes
_SHOWN_AFTERWARDS = {"ProcessingJobStatus", "CreationTime", "LastModifiedTime", "ProcessingStartTime"}


def make(folder: Path, job: Document) -> None:
    """Lay out a job's folder with its configuration, without data."""
    for path in (folder / "config", folder / "output", folder / "processing"):
        path.mkdir(parents=True)
    for one in [*(one["S3Input"] for one in inputs(job)), *(one["S3Output"] for one in outputs(job))]:
        _local(folder, one["LocalPath"]).mkdir(parents=True, exist_ok=True)
    asked = {name: value for name, value in described(job).items() if name not in _SHOWN_AFTERWARDS}
    (folder / "config/processingjobconfig.json").write_text(json.dumps(asked))
    hosts = {"current_host": _HOST, "hosts": [_HOST], "network_interface_name": "lo"}
    (folder / "config/resourceconfig.json").write_text(json.dumps(hosts))


def download(folder: Path, job: Document, s3: Any) -> None:
    """Bring every input from S3.

    Raises:
        DownloadFailed: The job's role may not read an object.
    """
    for source in (one["S3Input"] for one in inputs(job)):
        fetch(s3, source["S3Uri"], _local(folder, source["LocalPath"]))
    open_to_readers(folder)


def upload(folder: Path, job: Document, s3: Any) -> None:
    """Put what the job left in its outputs to S3.

    Raises:
        UploadFailed: S3 does not take it, or it cannot be read.
    """
    encrypted = encryption(job.get("ProcessingOutputConfig", {}).get("KmsKeyId"))
    for target in (one["S3Output"] for one in outputs(job)):
        put_all(s3, _local(folder, target["LocalPath"]), target["S3Uri"], encrypted)


def message(folder: Path) -> str:
    """What the job says when it ends; empty when it says nothing."""
    try:
        return (folder / "output/message").read_text(errors="replace")[:_LONGEST_MESSAGE]
    except OSError:
        return ""


def _local(folder: Path, path: str) -> Path:
    """A path of the container in the folder that stands for `/opt/ml`."""
    return folder / path.removeprefix(_ROOT)
