"""AWS by moto, or by the local cloud: fixtures with `params=EITHER` call `clients_of(request)`."""

from __future__ import annotations

from functools import cache, partial
from uuid import uuid4

import boto3
import pytest
from botocore.config import Config

from modelstack.platforms.aws.clients import Clients
from modelstack.platforms.aws.package_registry import registry
from modelstack.records.provenance.key_pair import KeyPair
from modelstack.services.package_registry import PackageRegistry

EITHER = ["moto", pytest.param("local cloud", marks=pytest.mark.e2e)]
IMAGE = "000000000000.dkr.ecr.us-east-1.amazonaws.com/flight-delay-serving:process"


def root_of(request: pytest.FixtureRequest) -> tuple[str, boto3.Session]:
    """The URL of the one that a fixture with `EITHER` is asked for, and who may do everything there."""
    if request.param == "moto":
        return request.getfixturevalue("moto_url"), boto3.Session("test", "test", region_name="us-east-1")
    cloud = request.getfixturevalue("cloud")
    return cloud.url, cloud.session()


def clients_of(request: pytest.FixtureRequest) -> Clients:
    """Clients of it, which try once."""
    url, session = root_of(request)
    return cache(partial(session.client, endpoint_url=url, config=Config(retries={"max_attempts": 1})))


def new_registry(clients: Clients, image: str = IMAGE) -> PackageRegistry:
    """A stack's registry, new there, with a key of its own."""
    name = f"registry-{uuid4().hex[:12]}"
    clients("s3").create_bucket(Bucket=name)
    clients("sagemaker").create_model_package_group(ModelPackageGroupName=name)
    return registry(name, name, image, clients, KeyPair.new())
