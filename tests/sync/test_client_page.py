"""docs/client.md is what the code says, and its examples run."""

import pytest
from tools.client_reference import client_reference

from refundry_sync.client import Client
from tests.support.service import ROOT, Account
from tests.sync.test_client import complete
from tests.system.test_readme import BLOCK

PAGE = ROOT / "docs" / "client.md"
README = ROOT / "sync" / "README.md"


def examples() -> list[str]:
    blocks = [each for page in (PAGE, README) for each in BLOCK.findall(page.read_text("utf-8"))]
    return [text for kind, text in blocks if kind == "python"]


def test_the_page_is_what_the_code_says() -> None:
    """Made again with: python tools/client_reference.py > docs/client.md"""
    assert PAGE.read_text("utf-8") == f"{client_reference()}\n"


@pytest.mark.parametrize("example", examples(), ids=range(len(examples())))
def test_examples_run(example: str, url: str, account: Account, client: Client) -> None:
    complete(client)
    here = example.replace('"https://refunds.shop.example"', "URL")
    exec(here, {"URL": url, "KEY": account.secret_test, "api_key": account.secret_test})
