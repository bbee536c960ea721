"""Clients of the cloud itself, by which its own services reach the others: as root of their account."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import cache
from typing import Any

import boto3
from botocore.config import Config

from localcloud.server.accounts import Accounts


def clients(url: str, accounts: Accounts) -> Callable[..., Any]:
    """Gives a boto3 client by `service`, `account` and `region`; each is made once, and serves any thread."""
    settings = Config(connect_timeout=5, read_timeout=60, retries={"max_attempts": 2})
    one_at_a_time = threading.Lock()  # a boto3 session makes clients in one thread only

    @cache
    def session(account: str) -> boto3.Session:
        keys = accounts.keys(account)
        return boto3.Session(keys.access_key_id, keys.secret_access_key)

    @cache
    def client(service: str, account: str, region: str) -> Any:
        return session(account).client(service, region, endpoint_url=url, config=settings)

    def aws(service: str, account: str, region: str) -> Any:
        with one_at_a_time:
            return client(service, account, region)

    return aws
