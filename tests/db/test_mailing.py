"""Mail to the administrators of an account."""

import base64
from datetime import timedelta

import msgspec
import pytest

from refundry.access.audit_log import COMMAND_LINE
from refundry.access.people import NewUser, add_user
from refundry.access.rights import Role
from refundry.settings import Settings
from refundry.webhooks.mailing import Mail, send_due, write
from tests.support.books import Shop
from tests.support.mailbox import Mailbox

MAIL = Mail("Webhook fails:\r\nBcc: eve@evil.example", "It fails.\nSee to it – soon.\n")


def address(shop: Shop, name: str) -> str:
    """An address that is the user's of no other shop."""
    return f"{name}@{shop.tenant.account_id}.example"


async def given_mail(shop: Shop, *administrators: str) -> None:
    now = shop.worker.clock.now()
    async with shop.database.transaction() as tx:
        for each in administrators:
            new = NewUser(address(shop, each), Role.ADMINISTRATOR)
            await add_user(tx, COMMAND_LINE, shop.tenant.account_id, new, now)
        await write(tx, shop.tenant.account_id, MAIL, now)


async def send(shop: Shop, settings: Settings, later: timedelta = timedelta()) -> int:
    now = shop.worker.clock.now() + later
    return await send_due(shop.database, settings, now, shop.tenant.account_id)


def with_server(settings: Settings, url: str) -> Settings:
    return msgspec.structs.replace(settings, smtp_url=url, mail_from="refunds@shop.example")


async def test_mail_goes_to_every_administrator_once(shop: Shop, settings: Settings) -> None:
    await given_mail(shop, "bo", "ana")
    with Mailbox("ana:p%40ss@") as box:
        own = with_server(settings, box.url)
        assert await send(shop, own) == 1
        assert await send(shop, own, timedelta(days=7)) == 0
    [mail] = box.mails
    ana, bo = address(shop, "ana"), address(shop, "bo")
    assert mail.recipients == (ana, bo)
    message = mail.message
    assert message["To"] == f"{ana}, {bo}"
    assert message["From"] == "refunds@shop.example"
    assert message["Subject"] == "Webhook fails: Bcc: eve@evil.example"
    assert message["Bcc"] is None
    assert message.get_content().replace("\r\n", "\n") == MAIL.body
    [login] = box.logins
    assert base64.b64decode(login.split()[-1]) == b"\0ana\0p@ss"


async def test_mail_that_is_refused_is_sent_again_later_and_later(
    shop: Shop, settings: Settings
) -> None:
    await given_mail(shop, "ana")
    with Mailbox() as box:
        own = with_server(settings, box.url)
        box.refusing = True
        assert await send(shop, own) == 1
        assert await send(shop, own, timedelta(seconds=50)) == 0
        assert await send(shop, own, timedelta(seconds=70)) == 1
        assert await send(shop, own, timedelta(seconds=180)) == 0
        box.refusing = False
        assert await send(shop, own, timedelta(seconds=200)) == 1
        assert len(box.mails) == 1
        assert await send(shop, own, timedelta(days=1)) == 0


async def test_mail_is_given_up_in_the_end(shop: Shop, settings: Settings) -> None:
    await given_mail(shop, "ana")
    own = with_server(settings, "smtp://127.0.0.1:1")
    tries = 0
    for days in range(40):
        tries += await send(shop, own, timedelta(days=days))
    assert tries == 20


async def test_without_a_server_mail_is_shown_in_the_log(
    shop: Shop, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    await given_mail(shop, "ana")
    assert await send(shop, settings) == 1
    assert await send(shop, settings, timedelta(days=1)) == 0
    assert "See to it" in capsys.readouterr().out


async def test_without_administrators_nobody_is_written_to(shop: Shop, settings: Settings) -> None:
    await given_mail(shop)
    assert await send(shop, settings) == 0


async def test_a_login_that_cannot_be_sent_fails_as_any_other_does(
    shop: Shop, settings: Settings
) -> None:
    """An error that nobody awaits would end the mail of this worker for good."""
    await given_mail(shop, "ana")
    with Mailbox("ana:p%C3%A4ss@") as box:
        assert await send(shop, with_server(settings, box.url)) == 1
    assert box.mails == []
