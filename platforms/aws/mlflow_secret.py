"""With what a stack's MLflow is signed in to: a secret of Secrets Manager, as MLflow's own clients would be told."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from functools import lru_cache

from platforms.aws.clients import Clients
from tracking.connection import MlflowError
from tracking.variables import KEYS

_FRESH = 300.0  # seconds after which a secret is asked for again: it may have been rotated


def credentials(clients: Clients, secret: str) -> Mapping[str, str]:
    """The environment, with the keys of a secret in place of its own.

    Raises:
        MlflowError: The secret is no JSON object with texts.
        ClientError, BotoCoreError: It cannot be read.
    """
    return {**os.environ, **(_read(clients, secret, int(time.monotonic() // _FRESH)) if secret else {})}


@lru_cache(maxsize=4)
def _read(clients: Clients, secret: str, _: int) -> Mapping[str, str]:
    text = clients("secretsmanager").get_secret_value(SecretId=secret).get("SecretString", "")
    try:
        held = json.loads(text)
    except ValueError:
        held = None
    if not isinstance(held, dict):  # what could not be read is secret, and in no message
        raise MlflowError(f"the secret {secret} is no JSON object with {', '.join(KEYS)}")
    return {variable: str(held[key]) for key, variable in KEYS.items() if key in held}
