"""The program of a training job that retrains the champion: `python -m modelstack.platforms.aws.jobs.retrain train`.

It reads `input/config/hyperparameters.json`, see `modelstack.pipeline.candidate.Job`, and the archive of the champion
in `input/data/champion`. Its report, see `modelstack.pipeline.candidate.Report`, goes to the bucket; without one,
`output/failure` says why, and the status is 1. `OPT_ML` in the environment stands for /opt/ml, if a job runs as a
process.
"""

from __future__ import annotations

import json
import sys
import traceback
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import boto3

from modelstack.pipeline.candidate import Job, JobError, retrain
from modelstack.pipeline.origin import OriginError
from modelstack.pipeline.recipe import canonical
from modelstack.platforms.aws.jobs import ending
from modelstack.platforms.aws.jobs.ending import failed
from modelstack.platforms.aws.kms_signer import KmsSigner
from modelstack.platforms.aws.package_registry import registry
from modelstack.records.provenance.envelope import SignatureError
from modelstack.services.publish_steps import at
from modelstack.services.sealed_packages import RegistryError

if TYPE_CHECKING:  # the image of a job has no rollout, which that needs
    from modelstack.platforms.aws.clients import Clients

TOLD = (JobError, OriginError, RegistryError, SignatureError)


def main(arguments: list[str], folder: Path) -> int:
    """Run the job and return the exit status."""
    if arguments not in ([], ["train"]):
        print(f"command {' '.join(arguments)!r} is not known: expected train", file=sys.stderr)
        return 2
    try:
        outcome = _run(folder)
    except Exception as error:
        if not isinstance(error, TOLD):
            traceback.print_exc()
        why = str(error) if isinstance(error, TOLD) else f"{type(error).__name__}: {error}"
        return failed(why, folder / "output/failure")
    print(outcome, flush=True)
    return 0


def _run(folder: Path) -> str:
    try:
        given = json.loads((folder / "input/config/hyperparameters.json").read_bytes())
    except (OSError, ValueError) as error:
        raise JobError(f"hyperparameters: {error}") from None
    job = Job.from_dict(given)
    session: Any = boto3.Session(region_name=job.region)
    clients: Clients = cache(session.client)
    champion = folder / "input/data/champion" / job.champion["archive_uri"].rpartition("/")[2]
    with TemporaryDirectory(prefix="retrain-", dir=folder) as workdir:
        signer = KmsSigner(clients, job.signing_key)
        here = at(registry(job.bucket, job.group, job.champion["image_uri"], clients, signer))
        report = retrain(job, champion, Path(workdir), here, progress=lambda line: print(line, flush=True))
    body = canonical(report.as_dict()).encode()
    clients("s3").put_object(Bucket=job.bucket, Key=job.report, Body=body, ContentType="application/json")
    return f"{report.outcome}: {report.why}"


if __name__ == "__main__":
    ending.run(main)
