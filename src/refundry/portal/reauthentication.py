"""Asks for the password again, in the form that makes, shows or deletes a secret.

The form has the field of the macro `own_password`; its handler begins with `why_not_confirmed`.
"""

from refundry.access.passwords import TooBusy
from refundry.access.rights import AccessRefusal
from refundry.access.signing_in import Gate, reauthenticate
from refundry.portal.pages import Visit

_BUSY = "Too many people are signing in. Try again in a moment."


async def why_not_confirmed(visit: Visit) -> str:
    """Why the form must not do what it is for; empty if it holds the visitor's own password.

    A wrong password counts towards the lock-out, as at the sign-in.
    """
    try:
        right = await reauthenticate(
            visit.services.part(Gate), visit.session, visit.form.secret("password")
        )
    except TooBusy:
        return _BUSY
    return "" if right else AccessRefusal.PASSWORD_WRONG.value
