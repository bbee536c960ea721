from __future__ import annotations

import base64
from typing import Any, cast

import pytest

from modelstack.platforms.kubernetes.answers import Exists
from modelstack.platforms.kubernetes.api import Api
from modelstack.platforms.kubernetes.kinds import SECRET
from modelstack.platforms.kubernetes.signing import PRIVATE, PUBLIC, key_pair, secret_name
from modelstack.records.provenance.envelope import enclose, opened
from modelstack.records.provenance.key_pair import KeyPair
from modelstack.rollout.core.errors import RolloutError
from tests.platforms.kubernetes.fake_api import FakeApi


@pytest.fixture
def api() -> Api:
    return cast(Api, FakeApi())


def test_a_key_is_made_once_and_signs(api: Api) -> None:
    name = secret_name("flight-delay-prod")
    first, second = key_pair(api, name, {"a": "b"}), key_pair(api, name)
    assert first.pem() == second.pem()
    assert opened(enclose(b"payload", second), first.public_key) == b"payload"
    secret = api.get(SECRET, "flight-delay-prod-signing")
    assert (secret["immutable"], secret["metadata"]["labels"]) == (True, {"a": "b"})
    assert base64.b64decode(secret["data"][PUBLIC]) == first.public_key


def test_of_two_who_make_it_at_once_the_first_counts(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    create, theirs = api.create, KeyPair.new()

    def late(kind: Any, obj: dict[str, Any], **named: Any) -> None:
        create(kind, {**obj, "data": {PRIVATE: base64.b64encode(theirs.pem()).decode()}}, **named)
        raise Exists("a moment ago")

    monkeypatch.setattr(api, "create", late)
    assert key_pair(api, secret_name("p")).pem() == theirs.pem()


@pytest.mark.parametrize("data", [{}, {PRIVATE: "!"}, {PRIVATE: base64.b64encode(b"no key").decode()}, None])
def test_a_secret_that_holds_no_key_is_named_and_not_replaced(api: Api, data: dict[str, str] | None) -> None:
    made = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": secret_name("p")}, "data": data}
    api.create(SECRET, made)
    with pytest.raises(RolloutError, match="Secret models/p-signing has no private key on the curve P-256"):
        key_pair(api, secret_name("p"))
    assert api.get(SECRET, secret_name("p"))["data"] == data
