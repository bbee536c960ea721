"""Where are a training job's checkpoints: in a folder while it runs, and in S3 for the job after it.

Source: "Checkpoints in Amazon SageMaker AI" in the developer guide: what is in S3 is copied to the folder before the
job starts, and what the job writes there is copied to S3 while it runs.
"""

from __future__ import annotations

import threading
from pathlib import Path, PurePosixPath
from typing import Any

from localcloud.sagemaker.errors import invalid
from localcloud.sagemaker.store import Document
from localcloud.sagemaker.training_transfer import fetch, put

_ROOT = PurePosixPath("/opt/ml")
_TAKEN = tuple(_ROOT / name for name in ("input", "model", "output"))


def checkpoint_path(job: Document) -> PurePosixPath | None:
    """Where below `/opt/ml` the job keeps checkpoints; None when it does not ask for them.

    Raises:
        ApiError: The path is elsewhere, or has another meaning.
    """
    if "CheckpointConfig" not in job:
        return None
    path = PurePosixPath(job["CheckpointConfig"].get("LocalPath", _ROOT / "checkpoints"))
    if _ROOT not in path.parents or ".." in path.parts or any(path.is_relative_to(taken) for taken in _TAKEN):
        raise invalid(
            f"CheckpointConfig.LocalPath is {path}; the local SageMaker takes a folder below {_ROOT} other than "
            f"{', '.join(map(str, _TAKEN))}."
        )
    return path.relative_to(_ROOT)


class Checkpoints:
    """The checkpoints of one job. All methods block: call them in a thread.

    Args:
        folder: That stands for `/opt/ml`.
        job: The job's document.
        s3: A client of the job's role.
    """

    def __init__(self, folder: Path, job: Document, s3: Any) -> None:
        path = checkpoint_path(job)
        self._folder = folder / path if path else None
        self._url = job.get("CheckpointConfig", {}).get("S3Uri", "").rstrip("/")
        self._s3 = s3
        self._saved: dict[Path, tuple[int, int]] = {}
        self._lock = threading.Lock()

    def restore(self) -> None:
        """Make the folder, and bring what an earlier job left.

        Raises:
            DownloadFailed: It cannot be read.
        """
        if self._folder:
            self._folder.mkdir(parents=True)
            fetch(self._s3, f"{self._url}/", self._folder)
            self._saved = dict(self._files(self._folder))

    def save(self) -> None:
        """Put what has changed since the last time.

        Raises:
            UploadFailed: S3 does not take it.
        """
        if self._folder is None:
            return
        with self._lock:
            for path, state in self._files(self._folder):
                if self._saved.get(path) != state:
                    put(self._s3, path, f"{self._url}/{path.relative_to(self._folder)}")
                    self._saved[path] = state

    def _files(self, folder: Path) -> list[tuple[Path, tuple[int, int]]]:
        found = []
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                status = path.stat()
                found.append((path, (status.st_mtime_ns, status.st_size)))
        return found
