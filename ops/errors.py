"""What a person is told when a command cannot do what was asked."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import botocore.exceptions


class OperatorError(Exception):
    """A mistake or a failure that the person at the keyboard can act on.

    Args:
        message: What was wrong, where, and what was expected.
        hint: What to do next, if anything is known to help.
        exit_code: 1 when the thing failed, 2 when the command was wrong.
    """

    def __init__(self, message: str, hint: str | None = None, exit_code: int = 1) -> None:
        super().__init__(message)
        self.hint = hint
        self.exit_code = exit_code


@contextmanager
def explained(doing: str) -> Iterator[None]:
    """Turn what AWS answers while `doing` something into an OperatorError; everything else passes through."""
    try:
        yield
    except botocore.exceptions.EndpointConnectionError as error:
        raise OperatorError(
            f"{doing}: nothing answers at {error.kwargs.get('endpoint_url', 'the endpoint')}",
            "For a local stack, `make up` starts the local cloud; for AWS, look at AWS_ENDPOINT_URL and the network.",
        ) from error
    except botocore.exceptions.NoCredentialsError as error:
        raise OperatorError(
            f"{doing}: no AWS credentials", 'For a local stack: eval "$(make -s env)". For AWS: log in first.'
        ) from error
    except botocore.exceptions.ClientError as error:
        detail = error.response.get("Error", {})
        if original := error.response.get("OriginalMessage"):
            status = error.response.get("OriginalStatusCode")
            raise OperatorError(f"{doing}: the model answered {status}: {original}") from error
        raise OperatorError(f"{doing}: {detail.get('Code', 'Error')}: {detail.get('Message', error)}") from error
    except botocore.exceptions.BotoCoreError as error:
        raise OperatorError(f"{doing}: {error}") from error
