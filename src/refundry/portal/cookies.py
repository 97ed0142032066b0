"""The cookies of the dashboard, as they come and as they are set."""

from http.cookies import CookieError, SimpleCookie


def read_cookies(header: str) -> dict[str, str]:
    """The cookies of a request; none of a header that cannot be read."""
    try:
        return {name: morsel.value for name, morsel in SimpleCookie(header).items()}
    except CookieError:
        return {}


def cookie(name: str, value: str, *, secure: bool, seconds: int | None = None) -> str:
    """A cookie that scripts cannot read and other sites cannot send along with a form."""
    parts = [f"{name}={value}", "Path=/dashboard", "HttpOnly", "SameSite=Lax"]
    if seconds is not None:
        parts.append(f"Max-Age={seconds}")
    return "; ".join([*parts, *(["Secure"] if secure else [])])
