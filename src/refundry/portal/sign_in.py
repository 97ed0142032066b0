"""Coming in and going out: signing in, setting a password, the mode, and one's own profile."""

import io

import segno

from refundry.access import signing_in
from refundry.access.links import find_link
from refundry.access.passwords import TooBusy
from refundry.access.people import rename_self
from refundry.access.rights import ROLE_LABELS, AccessRefused
from refundry.access.sessions import end_session, set_mode
from refundry.access.signing_in import Enrolment, Gate
from refundry.errors import NotFound
from refundry.http.answer import Answer
from refundry.ids import new_web_token
from refundry.portal.cookies import cookie
from refundry.portal.navigation import first_page
from refundry.portal.pages import COOKIE, VISITOR_COOKIE, Page, Visit, Wrong
from refundry.portal.rendering import HEADERS

WRONG = "Email or password is incorrect."
_BUSY = "Too many people are signing in. Try again in a moment."
# Longer than the idle limit of a session, which is kept on the server.
_COOKIE_SECONDS = 24 * 3600


def safe_next(text: str) -> str:
    """Where to go after signing in: a page of ours, or nothing.

    A path that a browser could take for another site's (`//host`, `/\\host`) is none of ours.
    """
    ours = text == "/dashboard" or text.startswith(("/dashboard/", "/dashboard?"))
    return text if ours and "\\" not in text and text.isprintable() else ""


async def go_to_work(visit: Visit) -> Answer:
    """To the first page that the visitor may see, right after the sign-in."""
    return visit.go(first_page(visit.user.rights))


async def show_login(visit: Visit) -> Answer:
    """The form; somebody who is signed in goes on."""
    wanted = safe_next(visit.query.one("next") or "")
    if visit.web is not None:
        return visit.go(wanted or first_page(visit.user.rights))
    return _login(visit, wanted)


def _login(
    visit: Visit, wanted: str, *, error: str = "", email: str = "", status: int = 200
) -> Answer:
    _know_visitor(visit)
    flash = "You are signed out." if visit.query.one("done") == "signed-out" else ""
    return visit.show(
        "login.html", status=status, error=error, next=wanted, email=email, flash=flash
    )


def _know_visitor(visit: Visit) -> None:
    """Give a visitor without a session something that their form has to bring back."""
    if visit.web is None and not visit.cookies.get(VISITOR_COOKIE):
        token = new_web_token()
        visit.cookies = {**visit.cookies, VISITOR_COOKIE: token}
        visit.new_cookies.append(cookie(VISITOR_COOKIE, token, secure=visit.secure))


async def post_login(visit: Visit) -> Answer:
    """Begin a session, always with a new token, or say that it cannot be."""
    form = visit.form
    wanted = safe_next(form.text("next"))
    try:
        token = await signing_in.sign_in(
            visit.services.part(Gate),
            form.text("email"),
            form.secret("password"),
            form.text("code", 10) or None,
        )
    except TooBusy:
        return _login(visit, wanted, error=_BUSY, email=form.text("email"), status=503)
    if token is None:
        return _login(visit, wanted, error=WRONG, email=form.text("email"), status=401)
    visit.new_cookies.append(cookie(COOKIE, token, secure=visit.secure, seconds=_COOKIE_SECONDS))
    return visit.go(wanted or "/dashboard/start")


async def post_logout(visit: Visit) -> Answer:
    """End the session for good."""
    await end_session(visit.database, visit.cookies[COOKIE])
    visit.new_cookies.append(cookie(COOKIE, "", secure=visit.secure, seconds=0))
    return visit.go("/dashboard/login", done="signed-out")


async def post_mode(visit: Visit) -> Answer:
    """Show the other mode's data from now on."""
    await set_mode(visit.database, visit.session, live=visit.form.text("live") == "true")
    return visit.go(first_page(visit.user.rights), done="mode")


async def show_password(visit: Visit) -> Answer:
    """The form behind a link that sets a password."""
    owner = await find_link(visit.database, visit.path["token"], visit.real_now)
    if owner is None:
        raise Wrong("This link is no longer valid. Ask for a new one.")
    _know_visitor(visit)
    return visit.show("password.html", email=owner.email)


async def post_password(visit: Visit) -> Answer:
    """Set the password and go to the sign-in."""
    form = visit.form
    owner = await find_link(visit.database, visit.path["token"], visit.real_now)
    email = owner.email if owner else ""
    if form.secret("password") != form.secret("again"):
        text = "The two passwords differ."
        return visit.show("password.html", email=email, error=text, status=400)
    gate = visit.services.part(Gate)
    try:
        await signing_in.set_password_by_link(gate, visit.path["token"], form.secret("password"))
    except AccessRefused as refused:
        return visit.show("password.html", email=email, error=str(refused), status=400)
    return visit.go("/dashboard/login")


async def show_profile(visit: Visit) -> Answer:
    """One's own name, password and second factor."""
    return _profile(visit)


async def show_qr_code(visit: Visit) -> Answer:
    """The secret that waits to be confirmed, for the camera of a phone; it stands in no address."""
    enrolment = await signing_in.pending_enrolment(visit.services.part(Gate), visit.session)
    if enrolment is None:
        raise NotFound("Page", visit.address)
    drawn = io.BytesIO()
    # On white in the dark theme, too: cameras look for dark squares on light.
    segno.make_qr(enrolment.uri, error="m").save(
        drawn, kind="svg", omitsize=True, xmldecl=False, light="#fff"
    )
    return Answer(200, drawn.getvalue(), dict(HEADERS), "image/svg+xml")


async def post_profile(visit: Visit) -> Answer:
    """Change one thing of one's own; which one is the name of the button."""
    gate, form = visit.services.part(Gate), visit.form
    try:
        match form.text("do"):
            case "name":
                await rename_self(visit.database, visit.user, form.text("name"), visit.real_now)
            case "password":
                if form.secret("password") != form.secret("again"):
                    return _profile(visit, "The two passwords differ.")
                await signing_in.change_password(
                    gate, visit.session, form.secret("old"), form.secret("password")
                )
            case "enrol":
                enrolment = await signing_in.enrol_totp(gate, visit.session, form.secret("old"))
                return _profile(visit, enrolment=enrolment)
            case "confirm":
                await signing_in.confirm_totp(gate, visit.session, form.text("code", 10))
            case "disable":
                await signing_in.disable_totp(gate, visit.session, form.secret("old"))
            case _:
                raise Wrong("Nothing was chosen.")
    except AccessRefused as refused:
        # Who mistyped a code goes on with the same secret.
        again = form.text("do") == "confirm"
        pending = await signing_in.pending_enrolment(gate, visit.session) if again else None
        return _profile(visit, str(refused), enrolment=pending)
    return visit.go("/dashboard/profile", done="saved")


def _profile(visit: Visit, error: str = "", *, enrolment: Enrolment | None = None) -> Answer:
    status = 400 if error else 200
    return visit.show(
        "profile.html", status=status, error=error, enrolment=enrolment, roles=ROLE_LABELS
    )


PAGES = (
    Page("GET", "/start", go_to_work),
    Page("GET", "/login", show_login, open=True),
    Page("POST", "/login", post_login, open=True),
    Page("POST", "/logout", post_logout),
    Page("POST", "/mode", post_mode),
    Page("GET", "/password/{token}", show_password, open=True),
    Page("POST", "/password/{token}", post_password, open=True),
    Page("GET", "/profile", show_profile),
    Page("POST", "/profile", post_profile),
    Page("GET", "/profile/qr-code.svg", show_qr_code),
)
