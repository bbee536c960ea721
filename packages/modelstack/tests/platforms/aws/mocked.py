"""AWS as moto mocks it, and the tables of a stack, there or on a local cloud."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from moto import mock_aws
from moto.core.base_backend import BaseBackend

from modelstack.platforms.aws.clients import Clients
from modelstack.platforms.aws.clients import clients as make
from modelstack.platforms.aws.names import INDEX

REGION = "us-east-1"


_MOTO: Any = BaseBackend
_assembled, _known = _MOTO.urls.fget, dict[tuple[type, str], Any]()


def _urls(backend: BaseBackend) -> Any:
    """The URLs of a service, put together once: moto does so at each request, for an eighth of its time."""
    key = type(backend), backend.region_name
    if key not in _known:
        _known[key] = _assembled(backend)
    return _known[key]


_MOTO.urls = property(_urls)


@functools.cache
def clients(region: str = REGION) -> Clients:
    """Clients of a mocked AWS, made once: making one takes longer than most tests do."""
    return make(region)


@contextmanager
def mocked_aws(monkeypatch: pytest.MonkeyPatch, **environment: str) -> Iterator[Clients]:
    """Clients of a mocked AWS, in an environment that leads there and has these variables too."""
    lead_to_mocks(monkeypatch, **environment)
    with mock_aws():
        yield clients()


def lead_to_mocks(monkeypatch: pytest.MonkeyPatch, **environment: str) -> None:
    """Set keys and a region that are nobody's, and these variables; no local cloud is asked."""
    keys = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": REGION}
    for name, value in {**keys, **environment}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)


def journal_table(clients: Clients, name: str = "rollouts") -> None:
    """The table of the journal and of the retraining record."""
    clients("dynamodb").create_table(**_keyed(name, "endpoint"), AttributeDefinitions=_attributes(endpoint="S"))


def documents_table(clients: Clients, name: str = "documents") -> None:
    """The table of documents."""
    keys = [{"AttributeName": INDEX, "KeyType": "HASH"}, {"AttributeName": "since", "KeyType": "RANGE"}]
    clients("dynamodb").create_table(
        **_keyed(name, "id"),
        AttributeDefinitions=_attributes(id="S", queue="S", since="N"),
        GlobalSecondaryIndexes=[{"IndexName": INDEX, "KeySchema": keys, "Projection": {"ProjectionType": "ALL"}}],
    )


def _keyed(name: str, key: str) -> dict[str, Any]:
    schema = [{"AttributeName": key, "KeyType": "HASH"}]
    return {"TableName": name, "BillingMode": "PAY_PER_REQUEST", "KeySchema": schema}


def _attributes(**kinds: str) -> list[dict[str, str]]:
    return [{"AttributeName": name, "AttributeType": kind} for name, kind in kinds.items()]
