"""The bucket that pods and the controller read, which outlives its config field.

Without the field new packages go to the registry. But a serving release, or one that a rollback needs, still has its
package in the bucket, which is therefore read until the last such release is gone. Its address and Secret are in the
Deployment of that release.
"""

from __future__ import annotations

import pulumi

from modelstack.platforms.kubernetes.api import Api
from modelstack.platforms.kubernetes.kinds import DEPLOYMENT, SECRET
from modelstack.program.config.kubernetes_settings import BucketSettings, KubernetesSettings
from modelstack.program.kubernetes.pod import FETCHES, bucket_of
from modelstack.rollout.core.release import Release
from modelstack.rollout.core.state import RolloutState

SCHEME = "s3://"


def read_bucket(api: Api, settings: KubernetesSettings, state: RolloutState) -> BucketSettings | None:
    """The bucket of the config, else of a release that still needs one; pulumi.RunError if that one is not known."""
    there = [release for release in state.releases() if release.archive_uri.startswith(SCHEME)]
    if settings.bucket is not None or not there:
        return settings.bucket
    found = next(filter(None, (_declared(api, release) for release in there)), None)
    if found is None:
        workloads = ", ".join(f"{api.namespace}/{release.config_name}" for release in there)
        raise _unreadable(there, f"no Deployment tells how it is read: {workloads}")
    if found.secret and api.find(SECRET, found.secret) is None:
        raise _unreadable(there, f"Secret {api.namespace}/{found.secret}, with whose keys it is read, does not exist")
    return found


def tell(settings: KubernetesSettings, bucket: BucketSettings | None) -> None:
    """Report that a bucket is still read that the config no longer names."""
    if bucket is not None and settings.bucket is None:
        secret = f", nor Secret {bucket.secret}," if bucket.secret else ""
        pulumi.info(
            f"bucket {bucket.name} is still read, though modelstack:kubernetes.bucket is null: the package of a "
            f"release that serves, or that a rollback needs, lies there. Do not delete it{secret} before this line "
            "is gone"
        )


def _declared(api: Api, release: Release) -> BucketSettings | None:
    pod = ((api.find(DEPLOYMENT, release.config_name) or {}).get("spec") or {}).get("template", {}).get("spec", {})
    fetch = next((one for one in pod.get("initContainers", ()) if one["name"] == FETCHES), {})
    return bucket_of(release.archive_uri.removeprefix(SCHEME).partition("/")[0], fetch)


def _unreadable(releases: list[Release], why: str) -> pulumi.RunError:
    named = " and ".join(f"{release.id} ({release.archive_uri})" for release in releases)
    return pulumi.RunError(
        f"modelstack:kubernetes.bucket is null, but it is still needed: what serves, or what a rollback needs, has its "
        f"package in a bucket: {named}. And {why}. So nothing was changed. Set the field again, as it was"
    )
