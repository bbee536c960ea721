"""The registry of a package, from plain values: the text `place` of a pipeline, or the inputs of a resource.

registry_at({"platform": "aws", "region": "...", "bucket": "...", "group": "...", "signing_key": "<arn>",
"image_uri": "..."})
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from modelstack.pipeline.contract import Refusal
from modelstack.pipeline.forms import IMAGE, Form, not_allowed, one_of
from modelstack.pipeline.texts import json_object
from modelstack.platforms.addresses import BUCKET, GROUP, KEY, OBJECT, REGION, REPOSITORY, URL
from modelstack.services.package_registry import PackageRegistry

Fields = Mapping[str, Form]
_ANY = Form(r"\S+", "a text without spaces")
_ON_AWS: Fields = {"region": REGION, "bucket": BUCKET, "group": GROUP, "signing_key": KEY, "image_uri": IMAGE}
_NAMES: Fields = dict.fromkeys(("namespace", "prefix", "name"), OBJECT)
_ON_KUBERNETES: Fields = {**_NAMES, "registry": REPOSITORY, "image_uri": IMAGE}
_OF_BUCKET: Fields = {"name": BUCKET, "region": OBJECT}
_PLATFORMS = (
    "aws",
    "kubernetes",
)  # not by entry points: the image of a job has the files that are imported, and no more


def read(name: str, text: str) -> dict[str, Any]:
    """Parse the text `place`, or raise `Refusal` with a line for each wrong field."""
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
    """Problems of the fields; those in `may` may be missing, null or empty."""
    for field, value in told.items():
        if field not in must and field not in may:
            yield f"{name}.{field}: no such field; expected {one_of(field, [*must, *may])}"
        form = must.get(field) or may.get(field)
        if form is not None and not form.fits(value) and not (field in may and not value):
            yield not_allowed(f"{name}.{field}", value, form.words)
    for field in must:
        if field not in told:
            yield f"{name}.{field}: missing; expected {must[field].words}"


def registry_at(given: Mapping[str, Any]) -> PackageRegistry:
    """The registry at a location that `read` accepts; only the platform of the location is imported."""
    if given["platform"] == "aws":
        from modelstack.platforms.aws.package_registry import registry_of  # noqa: PLC0415  only that of the platform is loaded
    else:
        from modelstack.platforms.kubernetes.package_store import registry_of  # noqa: PLC0415
    return registry_of(given)
