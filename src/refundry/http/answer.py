"""What an operation answers."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Answer:
    """A status, a body of JSON (or of `content_type`) and further headers.

    sealed: whether the body shows a secret, so that a stored copy must be encrypted.
    """

    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict[str, str])
    content_type: str = "application/json"
    sealed: bool = False
