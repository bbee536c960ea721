"""A fitted estimator that was logged in MLflow, fetched as a file without unpickling it.

Its description is read first: one made with another Python or other libraries is refused before it is fetched.
"""

from __future__ import annotations

import hashlib
import os
import platform
import re
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlsplit

import yaml

from modelstack.cli.errors import OperatorError
from modelstack.platforms.aws.mlflow import mlflow
from modelstack.records.tracking.api import PROXIED, Api, MlflowVersion
from modelstack.records.tracking.connection import MlflowError
from modelstack.records.tracking.variables import SERVER

PREFIX = "models:/"
_URI = re.compile(r"models:/(?P<name>[^/@]+)(@(?P<alias>[^/@]+)|/(?P<number>[1-9]\d*))")
_PINNED = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)\s*==\s*([^\s;]+)")
_SECONDS = 600.0
_LOADER, _FORMS = "mlflow.sklearn", ("skops", "cloudpickle", "pickle")
_BY_HAND = "Or fit it here, write it by joblib.dump, and give that file."


@contextmanager
def fetched(uri: str, say: Callable[[str], None]) -> Generator[Path]:
    """The file of a logged estimator, named after its registered model, in a temporary folder.

    `say` gets its version and digest before anyone can read the bytes.
    """
    named = _URI.fullmatch(uri)
    if named is None:
        raise OperatorError(f"{uri}: expected {PREFIX}NAME@ALIAS or {PREFIX}NAME/VERSION, such as {PREFIX}churn/3")
    content, suffix = _fetched(uri, named, say)
    with TemporaryDirectory(prefix="modelstack-mlflow-") as folder:
        path = Path(folder) / f"{re.sub('[^A-Za-z0-9-]+', '-', named['name'])}{suffix}"
        path.write_bytes(content)
        yield path


def _fetched(uri: str, named: re.Match[str], say: Callable[[str], None]) -> tuple[bytes, str]:
    server = os.environ.get(SERVER, "")
    if not server.startswith(("http://", "https://", "arn:")):
        raise OperatorError(f"{SERVER}: got {server!r}, expected the URL of the MLflow server that has {uri}")
    try:
        with mlflow(server, os.environ, _SECONDS, _SECONDS) as api:
            version = _version(api, named)
            content, suffix = _file(api, uri, api.place(named["name"], version.number))
    except MlflowError as error:
        raise OperatorError(f"{uri} cannot be had: {error}") from error
    digest = hashlib.sha256(content).hexdigest()
    say(f"{uri} is version {version.number}, of run {version.run_id or 'unknown'}: sha256 {digest}")
    return content, suffix


def _version(api: Api, named: re.Match[str]) -> MlflowVersion:
    if named["alias"]:
        return api.by_alias(named["name"], named["alias"])
    return api.version(named["name"], named["number"])


def _file(api: Api, uri: str, place: str) -> tuple[bytes, str]:
    if place.endswith(".tar.gz"):
        raise OperatorError(
            f"{uri}: found a package that modelstack has sealed, {place}; expected an estimator of scikit-learn",
            "A sealed package goes from stack to stack by `promotion.from`: see docs/how-to/promote.md.",
        )
    described = _described(_read(api, f"{place}/MLmodel"), uri)
    name = _named(described, uri)
    pinned = dict(_PINNED.findall(_read(api, f"{place}/requirements.txt").decode(errors="replace")))
    if wrong := [*_wrong(described, pinned)]:
        raise OperatorError(
            f"{uri} was made with other versions than are here: {'; '.join(wrong)}. Nothing of it was fetched",
            f"Log it again from an environment with the versions of requirements/app.txt. {_BY_HAND}",
        )
    return _read(api, f"{place}/{name}"), Path(name).suffix


def _described(text: bytes, uri: str) -> Mapping[str, Any]:
    try:
        flavours = yaml.safe_load(text)["flavors"]
        return {name: dict(one) for name, one in flavours.items()}
    except (yaml.YAMLError, KeyError, TypeError, ValueError, AttributeError):
        raise OperatorError(f"{uri}: its MLmodel names no flavours; expected what MLflow's log_model writes") from None


def _named(described: Mapping[str, Any], uri: str) -> str:
    loader = described.get("python_function", {}).get("loader_module")
    known = described.get("sklearn", {})
    name = known.get("pickled_model") or (described["python_function"].get("model_path") if loader == _LOADER else None)
    if not name or loader not in {None, _LOADER}:
        found = ", ".join(sorted(described)) + (f" (loaded by {loader})" if loader else "")
        raise OperatorError(
            f"{uri}: found the flavours {found}; expected sklearn, as mlflow.sklearn.log_model writes it",
            "A pyfunc with code of its own is no estimator: docs/how-to/own-model.md shows how a model is written by "
            "hand.",
        )
    form = known.get("serialization_format", "cloudpickle")
    if form not in _FORMS:
        raise OperatorError(
            f"{uri}: found an estimator in the form {form!r}; expected {', '.join(_FORMS)}",
            "Log it again by mlflow.sklearn.log_model(..., serialization_format='skops').",
        )
    return str(name)


def _wrong(described: Mapping[str, Any], pinned: Mapping[str, str]) -> Iterator[str]:
    """The versions that differ from those here."""
    made, here = str(described.get("python_function", {}).get("python_version", "")), platform.python_version()
    if made.split(".")[:2] != here.split(".")[:2]:
        yield f"Python {made or 'unknown'} (here {here})"
    wanted = {name.lower(): version for name, version in pinned.items() if not name.lower().startswith("mlflow")}
    if "scikit-learn" not in wanted:
        wanted["scikit-learn"] = str(described.get("sklearn", {}).get("sklearn_version", "unknown"))
    for name, version in sorted(wanted.items()):
        try:
            there = metadata.version(name)
        except metadata.PackageNotFoundError:
            there = "not installed"
        if there != version:
            yield f"{name} {version} (here {there})"


def _read(api: Api, uri: str) -> bytes:
    """The bytes of a file that the server stores itself or in a bucket."""
    if not uri.startswith("s3://"):
        if not uri.startswith(PROXIED):
            raise MlflowError(f"{uri} is no place that is read from here; expected {PROXIED}... or s3://...")
        return api.artifact(uri)
    import boto3  # noqa: PLC0415 - of a server that keeps files in a bucket alone
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415

    where = urlsplit(uri)
    try:
        return boto3.client("s3").get_object(Bucket=where.netloc, Key=where.path.lstrip("/"))["Body"].read()
    except (BotoCoreError, ClientError) as error:
        raise MlflowError(f"{uri}: {error}") from error
