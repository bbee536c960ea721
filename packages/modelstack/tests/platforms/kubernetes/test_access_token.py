from __future__ import annotations

from contextlib import suppress
from typing import Any, cast

import pytest

from modelstack.platforms.kubernetes import access_token
from modelstack.platforms.kubernetes.access_token import Tokens
from modelstack.platforms.kubernetes.answers import Forbidden, NotFound
from modelstack.platforms.kubernetes.api import Api
from modelstack.platforms.kubernetes.kinds import SECRET
from modelstack.rollout.core.errors import RolloutError, Unreachable
from tests.platforms.kubernetes.fake_api import FakeApi
from tests.platforms.kubernetes.world import World


def test_it_is_made_once_and_admits_nobody_else(world: World) -> None:
    with pytest.raises(NotFound):
        access_token.read(world.api, "flights")
    for _ in range(2):
        access_token.make(world.api, "flights", {"app": "flights"})
    token = access_token.read(world.api, "flights")
    assert len(token) == 64
    access_token.make(world.api, "others", {})
    tokens = Tokens(world.api)
    assert tokens.admits("flights", token)
    assert not any(
        tokens.admits("flights", given) for given in ("", token[:-1], access_token.read(world.api, "others"))
    )
    assert not tokens.admits("nobody", token)


def test_a_token_that_does_not_fit_is_looked_up_again_and_not_at_each_call() -> None:
    api, now = cast(Api, FakeApi()), [100.0]
    access_token.make(api, "flights", {})
    tokens = Tokens(api, lambda: now[0])
    old = access_token.read(api, "flights")
    assert tokens.admits("flights", old)
    api.delete(SECRET, "flights-token")
    access_token.make(api, "flights", {})
    new = access_token.read(api, "flights")
    assert not tokens.admits("flights", new)
    now[0] += 6
    assert tokens.admits("flights", new)
    assert not tokens.admits("flights", old)


def test_wrong_tokens_cause_few_requests_even_for_many_endpoints_and_while_the_api_server_refuses() -> None:
    class Counting(FakeApi):
        reads = 0

        def get(self, *given: Any, **named: Any) -> Any:
            self.reads += 1
            if self.refuses:
                raise Forbidden("secrets: get is not allowed")
            return super().get(*given, **named)

        refuses = False

    api, now = Counting(), [100.0]
    names = [f"e-{number}" for number in range(100)]
    for name in names:
        access_token.make(cast(Api, api), name, {})
    tokens = Tokens(cast(Api, api), lambda: now[0])
    right = access_token.read(cast(Api, api), "e-7")
    assert tokens.admits("e-7", right)
    for api.refuses in (False, True):
        api.reads = 0
        for _ in range(10):
            now[0] += 1
            for name in names * 3:
                with suppress(Unreachable):
                    assert not tokens.admits(name, "wrong")
        assert api.reads <= 100 + 10
        assert tokens.admits("e-7", right), "a known token needs no request"
    fresh = Tokens(cast(Api, api), lambda: now[0])
    for _ in range(2):
        with pytest.raises(Unreachable, match="not allowed"):
            fresh.admits("e-7", right)


def test_a_secret_without_a_token_is_told() -> None:
    api = cast(Any, FakeApi())
    api.create(SECRET, {"metadata": {"name": "flights-token"}, "data": {"other": "eA=="}})
    with pytest.raises(RolloutError, match="flights-token has no token under 'token'"):
        access_token.read(api, "flights")
