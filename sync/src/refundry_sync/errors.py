"""What can go wrong between a shop and the server, as exceptions."""

from dataclasses import dataclass


class SyncError(Exception):
    """The root of all below."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One element of an answer's `errors`; code and parameter are left out by some refusals."""

    code: str | None
    parameter: str | None
    message: str


class ApiError(SyncError):
    """The server said no. `problems`: what it gave as its reasons, perhaps none.

    request_id: names the call in the server's logs. The message of a problem is for staff; a
    shopper gets words of the shop.
    """

    def __init__(
        self, status: int, problems: tuple[Problem, ...] = (), request_id: str | None = None
    ) -> None:
        self.status = status
        self.problems = problems
        self.request_id = request_id
        super().__init__(status, problems, request_id)

    def __str__(self) -> str:
        return f"{self.status}: " + ("; ".join(map(_words, self.problems)) or "no reason given")

    @property
    def codes(self) -> tuple[str, ...]:
        """The codes of the problems, in their order."""
        return tuple(each.code for each in self.problems if each.code is not None)


class BadRequest(ApiError):
    """400: the request is malformed, or a rule refuses it."""


class Unauthorized(ApiError):
    """401: the key is missing, unknown, or has ended."""


class Forbidden(ApiError):
    """403: the key may not do this."""


class NotFound(ApiError):
    """404: there is no such object in the key's account and mode."""


class Conflict(ApiError):
    """409: it does not fit the state of things, or the idempotency key is taken."""


class RateLimited(ApiError):
    """429, after all attempts. retry_after: seconds that the server asks for, if it does."""

    retry_after: float | None = None


class ServerError(ApiError):
    """5xx, after all attempts. Whether the request took effect is not known."""

    retry_after: float | None = None


class Unreachable(SyncError):
    """No attempt got an answer: no connection, a time-out, or an answer that broke off.

    Whether the request took effect is not known; one with the same idempotency key finds out.
    """


class BadAnswer(SyncError):
    """An answer came that is not of this API: a redirect, a page of a proxy, a missing field."""


class BadSignature(SyncError):
    """A webhook is not to be trusted. reason: missing, malformed, mismatch or stale."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


_BY_STATUS: dict[int, type[ApiError]] = {
    400: BadRequest,
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    429: RateLimited,
}


def api_error(
    status: int,
    problems: tuple[Problem, ...],
    request_id: str | None,
    retry_after: float | None = None,
) -> ApiError:
    """The exception for a status of 400 and above."""
    kind = ServerError if status >= 500 else _BY_STATUS.get(status, ApiError)
    error = kind(status, problems, request_id)
    if isinstance(error, RateLimited | ServerError):
        error.retry_after = retry_after
    return error


def _words(problem: Problem) -> str:
    return (
        problem.message
        if problem.parameter is None
        else (f"{problem.parameter}: {problem.message}")
    )
