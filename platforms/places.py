"""Where a package is registered, read from plain values: the text `place` of a pipeline, or the inputs of a resource.

    place_of({"platform": "aws", "region": "...", "bucket": "...", "group": "...", "signing_key": "<arn>",
              "image_uri": "..."})
    place_of({"platform": "kubernetes", "context": "", "namespace": "...", "prefix": "...", "name": "...",
              "registry": "...", "bucket": None, "image_uri": "..."})

Of the two platforms, only that of the place is loaded.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from pipeline.contract import Refusal
from pipeline.forms import IMAGE, Form, not_allowed, one_of
from pipeline.texts import json_object
from platforms.addresses import BUCKET, GROUP, KEY, OBJECT, REGION, REPOSITORY, URL
from platforms.registering import Place

if TYPE_CHECKING:  # a training job has no rollout, which that needs
    from platforms.aws.clients import Clients

Fields = Mapping[str, Form]
_ANY = Form(r"\S+", "a text without spaces")
_ON_AWS: Fields = {"region": REGION, "bucket": BUCKET, "group": GROUP, "signing_key": KEY, "image_uri": IMAGE}
_NAMES: Fields = dict.fromkeys(("namespace", "prefix", "name"), OBJECT)
_ON_KUBERNETES: Fields = {**_NAMES, "registry": REPOSITORY, "image_uri": IMAGE}
_OF_BUCKET: Fields = {"name": BUCKET, "region": OBJECT}
_PLATFORMS = ("aws", "kubernetes")


def read(name: str, text: str) -> dict[str, Any]:
    """The text that says where a package is registered.

    Raises:
        Refusal: It is no such text; the message has a line for each field.
    """
    told = json_object(name, text)
    if problems := list(_problems(name, told)):
        raise Refusal("\n".join(problems))
    return told


def _problems(name: str, told: Mapping[str, Any]) -> Iterator[str]:
    platform = told.get("platform")
    if platform is None:
        yield f"{name}.platform: missing; expected {' or '.join(_PLATFORMS)}"
    elif platform not in _PLATFORMS:
        yield not_allowed(f"{name}.platform", platform, " or ".join(_PLATFORMS))
    elif platform == "aws":
        yield from _wrong(name, told, {"platform": _ANY, **_ON_AWS}, {})
    else:
        yield from _wrong(name, told, {"platform": _ANY, **_ON_KUBERNETES}, {"context": _ANY, "bucket": None})
        bucket = told.get("bucket")
        if isinstance(bucket, dict):
            yield from _wrong(f"{name}.bucket", bucket, _OF_BUCKET, {"endpoint": URL, "secret": OBJECT})
        elif bucket is not None:
            yield not_allowed(f"{name}.bucket", bucket, "null, or name, endpoint and region of a bucket")


def _wrong(name: str, told: Mapping[str, Any], must: Fields, may: Mapping[str, Form | None]) -> Iterator[str]:
    """What is wrong with fields; those that may be given may also be null or empty."""
    for field, value in told.items():
        if field not in must and field not in may:
            yield f"{name}.{field}: no such field; expected {one_of(field, [*must, *may])}"
        form = must.get(field) or may.get(field)
        if form is not None and not form.fits(value) and not (field in may and not value):
            yield not_allowed(f"{name}.{field}", value, form.words)
    for field in must:
        if field not in told:
            yield f"{name}.{field}: missing; expected {must[field].words}"


def place_of(told: Mapping[str, Any]) -> Place:
    """The place that a text names, see `read`."""
    return _by_its_session(told) if told["platform"] == "aws" else on_kubernetes(told)


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
    bucket = told.get("bucket")
    store = StackStore(told["registry"], {"endpoint": None, **bucket} if bucket else None)
    return place(api, store, name=told["name"], labels=labels, image=told["image_uri"], signer=signer)


def _by_its_session(told: Mapping[str, Any]) -> Place:
    from functools import cache  # noqa: PLC0415

    import boto3  # noqa: PLC0415

    session: Any = boto3.Session(region_name=told["region"])
    return on_aws(told, cache(session.client))
