"""What does a training job find in `/opt/ml`, and what becomes of what it leaves there?

Source: "How Amazon SageMaker AI provides training information" and "Amazon SageMaker AI training storage folders" in
the developer guide. All functions block: call them in a thread.
"""

from __future__ import annotations

import gzip
import json
import shutil
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from botocore.exceptions import BotoCoreError, ClientError

from localcloud.sagemaker.errors import invalid
from localcloud.sagemaker.store import Document
from localcloud.server.platform import Assumed

INSIDE = PurePosixPath("/opt/ml")
_HOST = "algo-1"
_GROUP = "homogeneousCluster"
_CHUNK = 1 << 20
_LONGEST_FAILURE = 1024  # characters of output/failure that AWS takes


class TransferFailed(Exception):
    """Data did not come from S3, or did not get there; the text is the job's FailureReason."""


def missing_input(job: Document, role: Assumed) -> tuple[str, str] | None:
    """The S3 URL and the bucket of the first channel that has no object its role can list, or None."""
    s3 = role.client("s3")
    for channel in job["InputDataConfig"]:
        url = _source(channel)["S3Uri"]
        bucket, prefix = _address(url)
        try:
            found = s3.list_objects_v2(Bucket=bucket, Prefix=prefix, MaxKeys=1).get("Contents")
        except (ClientError, BotoCoreError):
            found = None
        if not found:
            return url, bucket
    return None


def checkpoint_folder(job: Document) -> PurePosixPath | None:
    """Where the job keeps checkpoints, as its container sees it; None when it does not ask for them.

    Raises:
        ApiError: The path is one that has another meaning.
    """
    if "CheckpointConfig" not in job:
        return None
    inside = PurePosixPath(job["CheckpointConfig"].get("LocalPath", INSIDE / "checkpoints"))
    taken = [INSIDE / name for name in ("input", "model", "output")]
    if not inside.is_relative_to(INSIDE) or inside == INSIDE or any(inside.is_relative_to(path) for path in taken):
        raise invalid(
            f"CheckpointConfig.LocalPath is {inside}; the local SageMaker takes a folder below {INSIDE} other than "
            f"{', '.join(map(str, taken))}."
        )
    return inside


def make(folder: Path, job: Document) -> None:
    """Lay out a job's folder with its configuration, without data."""
    config = folder / "input/config"
    for path in (config, folder / "input/data", folder / "model", folder / "output/data"):
        path.mkdir(parents=True)
    resources = job["ResourceConfig"]
    instance = resources["InstanceType"]
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


def download(folder: Path, job: Document, role: Assumed) -> None:
    """Bring every channel, and the checkpoints of an earlier job, from S3.

    Raises:
        TransferFailed: The role may not read an object, or a Gzip channel has one that is not gzipped.
    """
    s3 = role.client("s3")
    for channel in job["InputDataConfig"]:
        target = folder / "input/data" / channel["ChannelName"]
        target.mkdir()
        _download(s3, _source(channel)["S3Uri"], target, unzip=channel["CompressionType"] == "Gzip")
    checkpoints = checkpoint_folder(job)
    if checkpoints is not None:
        target = folder / checkpoints.relative_to(INSIDE)
        target.mkdir(parents=True)
        _download(s3, job["CheckpointConfig"]["S3Uri"], target)


def upload(folder: Path, job: Document, role: Assumed, *, model: bool) -> None:
    """Put what the job left to S3: its model, what is in `output/data`, and its checkpoints.

    Args:
        folder: The job's.
        job: Its document.
        role: That must be allowed to.
        model: Whether there is a model to put; a job that failed has none.

    Raises:
        TransferFailed: The role may not write there.
    """
    s3, config = role.client("s3"), job["OutputDataConfig"]
    key = config.get("KmsKeyId")
    encryption = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": key} if key else {}
    where = f"{config['S3OutputPath'].rstrip('/')}/{job['TrainingJobName']}/output"
    try:
        if model:
            _put_archive(s3, folder / "model", f"{where}/model.tar.gz", encryption)
        if any((folder / "output/data").iterdir()):
            _put_archive(s3, folder / "output/data", f"{where}/output.tar.gz", encryption)
        checkpoints = checkpoint_folder(job)
        if checkpoints is not None:
            root = folder / checkpoints.relative_to(INSIDE)
            for file in sorted(path for path in root.rglob("*") if path.is_file()):
                _put(s3, file, f"{job['CheckpointConfig']['S3Uri'].rstrip('/')}/{file.relative_to(root)}", {})
    except (ClientError, BotoCoreError) as error:
        raise TransferFailed(
            f"ClientError: Artifact upload failed: please ensure that the role {job['RoleArn']} has permission to "
            f"write under {where}. ({error})"
        ) from error
    except OSError as error:
        raise TransferFailed(
            f"InternalServerError: the local SageMaker cannot read the job's output: {error}"
        ) from error


def failure(folder: Path) -> str:
    """What the job says of why it failed; empty when it says nothing."""
    try:
        return (folder / "output/failure").read_text(errors="replace").strip()[:_LONGEST_FAILURE]
    except OSError:
        return ""


def _as_configured(job: Document, channel: Document) -> Document:
    shown = {
        "TrainingInputMode": channel.get("InputMode", job["AlgorithmSpecification"]["TrainingInputMode"]),
        "S3DistributionType": _source(channel).get("S3DataDistributionType", "FullyReplicated"),
        "RecordWrapperType": channel["RecordWrapperType"],
    }
    return {"ContentType": channel["ContentType"], **shown} if "ContentType" in channel else shown


def _source(channel: Document) -> Document:
    return channel["DataSource"]["S3DataSource"]


def _download(s3: Any, url: str, target: Path, *, unzip: bool = False) -> None:
    bucket, prefix = _address(url)
    try:
        for key in _keys(s3, bucket, prefix):
            path = target.joinpath(*_relative(key, prefix))
            path.parent.mkdir(parents=True, exist_ok=True)
            body = s3.get_object(Bucket=bucket, Key=key)["Body"]
            with path.open("wb") as file:
                for chunk in body.iter_chunks(_CHUNK):
                    file.write(chunk)
            if unzip:
                _unzip(path)
    except (ClientError, BotoCoreError) as error:
        raise TransferFailed(f"ClientError: Data download failed:{url}: {error}") from error
    except (OSError, EOFError) as error:
        raise TransferFailed(f"ClientError: Data download failed:{url}: {type(error).__name__}: {error}") from error


def _keys(s3: Any, bucket: str, prefix: str) -> Iterator[str]:
    token: dict[str, str] = {}
    while True:
        page = s3.list_objects_v2(Bucket=bucket, Prefix=prefix, **token)
        # A key that ends with a slash is what consoles make for an empty folder.
        yield from (item["Key"] for item in page.get("Contents", ()) if not item["Key"].endswith("/"))
        if not page.get("IsTruncated"):
            return
        token = {"ContinuationToken": page["NextContinuationToken"]}


def _relative(key: str, prefix: str) -> Sequence[str]:
    """Where below the channel's folder an object goes: below a prefix that is a folder, else beside its name."""
    root = prefix if prefix.endswith("/") or not key.startswith(f"{prefix}/") else f"{prefix}/"
    parts = key[root.rfind("/") + 1 :].split("/")
    if any(part in {"", ".", ".."} for part in parts):
        raise OSError(f"S3 key {key} has an illegal char sub-sequence in it")
    return parts


def _unzip(path: Path) -> None:
    whole = path.with_name(f"{path.name}.unzipped")
    with gzip.open(path) as packed, whole.open("wb") as plain:
        shutil.copyfileobj(packed, plain, _CHUNK)
    path.unlink()
    whole.rename(path.with_suffix("") if path.suffix == ".gz" else path)


def _put_archive(s3: Any, folder: Path, url: str, encryption: dict[str, str]) -> None:
    archive = folder.with_name(f"{folder.name}.tar.gz")
    with tarfile.open(archive, "w:gz", compresslevel=6, dereference=True) as tar:
        for path in sorted(folder.iterdir()):
            tar.add(path, path.name)
    _put(s3, archive, url, encryption)


def _put(s3: Any, file: Path, url: str, encryption: dict[str, str]) -> None:
    bucket, key = _address(url)
    with file.open("rb") as content:
        s3.put_object(Bucket=bucket, Key=key, Body=content, **encryption)


def _address(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.netloc, parts.path.lstrip("/")
