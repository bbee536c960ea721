"""Where a package is registered, read from plain values: the text `place` of a pipeline, or the inputs of a resource.

    place_of({"platform": "aws", "region": "...", "bucket": "...", "group": "...", "signing_key": "<arn>",
              "image_uri": "..."})
    place_of({"platform": "kubernetes", "context": "", "namespace": "...", "prefix": "...", "name": "...",
              "registry": "...", "bucket": None, "image_uri": "..."})

Of the two platforms, only that of the place is loaded.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pipeline.contract import Refusal
from platforms.registering import Place

if TYPE_CHECKING:  # a training job has no rollout, which that needs
    from platforms.aws.clients import Clients


def place_of(told: Mapping[str, Any]) -> Place:
    """The place that a text names.

    Raises:
        Refusal: A field is missing, or the platform is not known.
    """
    try:
        if told["platform"] == "aws":
            return _by_its_session(told)
        if told["platform"] == "kubernetes":
            return on_kubernetes(told)
    except KeyError as error:
        raise Refusal(f"place: found no {error.args[0]}; platforms/places.py shows what is expected") from None
    raise Refusal(f"place.platform: {told['platform']!r} is not allowed: expected aws or kubernetes")


def on_aws(told: Mapping[str, Any], clients: Clients) -> Place:
    """A bucket and a model package group, with the stack's key in KMS."""
    from platforms.aws.kms_signer import KmsSigner  # noqa: PLC0415
    from platforms.aws.registry import place  # noqa: PLC0415

    signer = KmsSigner(clients, told["signing_key"])
    return place(told["bucket"], told["group"], told["image_uri"], clients, signer)


def on_kubernetes(told: Mapping[str, Any]) -> Place:
    """A registry or a bucket, and a ModelPackage; key and token of the stack are made at their first use."""
    from platforms.kubernetes import access_token  # noqa: PLC0415
    from platforms.kubernetes.api import Api  # noqa: PLC0415
    from platforms.kubernetes.names import labels_of  # noqa: PLC0415
    from platforms.kubernetes.publish import place  # noqa: PLC0415
    from platforms.kubernetes.signing import signing_key  # noqa: PLC0415
    from platforms.kubernetes.stores import StackStore  # noqa: PLC0415

    api, labels = Api.of(told.get("context") or None, told["namespace"]), labels_of(told["prefix"])
    access_token.make(api, told["prefix"], labels)
    signer = signing_key(api, told["prefix"], labels)
    store = StackStore(told["registry"], told.get("bucket"))
    return place(api, store, name=told["name"], labels=labels, image=told["image_uri"], signer=signer)


def _by_its_session(told: Mapping[str, Any]) -> Place:
    from functools import cache  # noqa: PLC0415

    import boto3  # noqa: PLC0415

    session: Any = boto3.Session(region_name=told["region"])
    return on_aws(told, cache(session.client))
