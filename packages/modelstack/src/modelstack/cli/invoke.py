"""One request to an endpoint."""

from __future__ import annotations

from dataclasses import replace

from modelstack.cli.errors import NotAnswered, OperatorError, explained, not_answered, reasons
from modelstack.cli.platform.choose import platform_of
from modelstack.cli.target import Target
from modelstack.cli.view.releases import variant_of
from modelstack.rollout.core.errors import RolloutError
from modelstack.services.invoke import Invoke, Request, Response, TooLarge


def send(target: Target, body: bytes, content_type: str, variant: str | None) -> tuple[str, str]:
    """Send a request to a variant, a release, or (None) by the weights; returns the variant and the answer."""
    chosen = variant_of(target, variant) if variant else None
    with explained(f"invoking {target.endpoint}"):
        answer = answer_of(platform_of(target).invoke(), Request(body, content_type, variant=chosen))
    return answer.variant, answer.body.decode(errors="replace")


def answer_of(invoke: Invoke, request: Request) -> Response:
    """Send a request once; its good answer or NotAnswered, and OperatorError if the payload is too large."""
    try:
        response = invoke.send(request)
    except TooLarge as error:
        hint = "Send fewer instances in one request. A model may have a smaller limit of its own, which it names."
        raise OperatorError(str(error), hint, 2) from None
    except RolloutError as error:
        raise not_answered(error) from (error.__cause__ or error)
    if response.ok:
        return replace(response, variant=response.variant or "a variant that does not say its name")
    raise NotAnswered(str(response.status), _error(response))


def _error(response: Response) -> str:
    """An error answer, one line per reason."""
    said = f"{'the model' if response.by_model else 'the gateway itself'} answered {response.status}: "
    problems = reasons(response.body.decode(errors="replace"))
    return said + (problems[0] if len(problems) == 1 else "\n  ".join([f"{len(problems)} problems", *problems]))
