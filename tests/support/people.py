"""Users made and signed in by the product's own commands, on a real database and without HTTP."""

import uuid
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from argon2 import PasswordHasher

from refundry.access.audit_log import COMMAND_LINE, AuditFilter, Entry, list_audit
from refundry.access.people import NewUser, create_user
from refundry.access.rights import Role
from refundry.access.sessions import WebSession, find_session
from refundry.access.signing_in import Gate, sign_in
from refundry.access.users import User, find_user
from refundry.db.database import Database
from refundry.errors import required

PASSWORD = "correct horse battery"
OTHER = "incorrect horse battery"
# Cheap, so that the tests are about rules and not about argon2.
QUICK = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


@dataclass(frozen=True, slots=True)
class Door:
    """A gate whose clock the test moves, and an account of its own behind it."""

    gate: Gate
    account_id: str

    @property
    def database(self) -> Database:
        return self.gate.database

    @property
    def now(self) -> Any:
        return self.gate.clock.now()

    async def user(self, role: Role = Role.CUSTOMER_SERVICE, name: str | None = None) -> User:
        """An active user with an address of their own."""
        hashed = await self.gate.passwords.hash(PASSWORD)
        new = NewUser(f"{uuid.uuid4()}@shop.example", role, name, password_hash=hashed)
        made = await create_user(self.database, COMMAND_LINE, self.account_id, new, self.now)
        return made.user

    async def invite(self, role: Role = Role.CUSTOMER_SERVICE) -> tuple[User, str]:
        """A user without a password, and the token of their link."""
        new = NewUser(f"{uuid.uuid4()}@shop.example", role)
        made = await create_user(self.database, COMMAND_LINE, self.account_id, new, self.now)
        return made.user, required(made.link_token)

    async def again(self, user: User) -> User:
        """The user as they stand now."""
        return required(await find_user(self.database, self.account_id, user.id, self.now))

    async def enter(
        self, user: User, password: str = PASSWORD, code: str | None = None
    ) -> str | None:
        """Sign in; gives the session's token."""
        return await sign_in(self.gate, user.email, password, code)

    async def look(self, token: str | None) -> WebSession | None:
        return await find_session(self.database, required(token), self.now)

    async def session(self, user: User) -> WebSession:
        """A new session of a user with the password."""
        return required(await self.look(await self.enter(user)))

    async def fail(self, user: User, times: int) -> None:
        """Sign in with a wrong password, again and again."""
        for _ in range(times):
            assert await self.enter(user, OTHER) is None

    def wait(self, by: timedelta) -> None:
        self.gate.clock.shift += by

    async def log(self, object_id: str) -> list[Entry]:
        """What was done to an object, oldest first."""
        wanted = AuditFilter(object_id=object_id)
        return (await list_audit(self.database, self.account_id, wanted))[::-1]

    async def actions(self, user: User) -> list[str]:
        return [entry.change.action for entry in await self.log(user.id)]
