"""docs/oscar.md says what the app has, and its examples are what the demo runs with."""

import re
import tomllib
from dataclasses import fields
from importlib import import_module
from typing import Any

from refundry_sync.oscar.conf import Conf
from tests.support.oscar_shop import DEMO
from tests.support.service import ROOT
from tests.system.test_readme import BLOCK

PAGE = (ROOT / "docs" / "oscar.md").read_text("utf-8")
SHOWN = BLOCK.findall(PAGE)
SETTINGS, ADDRESSES = (text for kind, text in SHOWN if kind == "python")


def first_cells(head: str) -> list[str]:
    """The names in the first column of the table whose first head is `head`."""
    table = re.findall(rf"^\| {head} \|.*\n\|[-|]+\|\n((?:\|.*\n)+)", PAGE, re.MULTILINE)[0]
    cells = [row.split("|")[1] for row in table.splitlines()]
    return [name for cell in cells for name in re.findall(r"`(\w+)`", cell)]


def written(value: object) -> str:
    """As settings have it, texts without their quotes."""
    if isinstance(value, str):
        return value
    return f"{value:g}" if isinstance(value, float) else repr(value).replace("'", '"')


def test_every_setting_is_documented_as_it_is() -> None:
    assert first_cells("Setting") == [each.name.upper() for each in fields(Conf)]
    conf = Conf(url="", api_key="")
    defaults = re.findall(r"^\| `([A-Z_]+)` \| `([^`]+)` \|", PAGE, re.MULTILINE)
    assert len(defaults) == 7
    for name, default in defaults:
        # Where browsers find Refundry: where the shop does, unless it is said.
        assert default == "URL" or default == written(getattr(conf, name.lower())), name


def test_the_settings_work_as_shown() -> None:
    variables = {"REFUNDRY_API_KEY": "sk_test_x", "REFUNDRY_WEBHOOK_TOKEN": "t"}
    names: dict[str, Any] = {"os": type("os", (), {"environ": variables})}
    names["OSCAR_DASHBOARD_NAVIGATION"] = []
    exec(SETTINGS, names)
    conf = Conf(**{name.lower(): value for name, value in names["REFUNDRY"].items()})
    assert (conf.api_key, conf.webhook_tokens) == ("sk_test_x", ("t",))
    demo = (DEMO / "shop" / "settings.py").read_text("utf-8")
    apps = names["INSTALLED_APPS"]
    assert [demo.index(f'"{each}"') for each in apps] == sorted(demo.index(f'"{e}"') for e in apps)
    assert names["OSCAR_DASHBOARD_NAVIGATION"][0]["url_name"] in demo


def test_pages_mails_and_script_are_installed_with_the_app() -> None:
    project = tomllib.loads((ROOT / "sync" / "pyproject.toml").read_text("utf-8"))
    patterns = project["tool"]["setuptools"]["package-data"]["refundry_sync.oscar"]
    app = ROOT / "sync" / "src" / "refundry_sync" / "oscar"
    installed = {path for pattern in patterns for path in app.glob(pattern) if path.is_file()}
    others = {path for path in app.rglob("*.*") if path.suffix not in (".py", ".pyc")}
    assert len(others) > 15
    assert installed == others


def test_the_addresses_are_those_of_the_demo() -> None:
    demo = (DEMO / "shop" / "urls.py").read_text("utf-8")
    shown = [text for text in ADDRESSES.splitlines() if "include(" in text]
    assert len(shown) == 2
    assert demo.index(shown[0]) < demo.index(shown[1])


def test_the_template_is_the_demos() -> None:
    (shown,) = (text for kind, text in SHOWN if kind == "html")
    template = (DEMO / "shop" / "templates" / "oscar" / "base.html").read_text("utf-8")
    assert shown.splitlines() == [
        text for text in template.splitlines() if text and not text.startswith("{#")
    ]


def test_every_mail_is_documented_and_has_its_texts() -> None:
    migration = import_module("refundry_sync.oscar.migrations.0002_store_and_mails")
    codes = [code for code, _ in migration._EVENTS]
    assert sorted(first_cells("Code")) == sorted(codes)
    emails = ROOT / "sync/src/refundry_sync/oscar/templates/oscar/communication/emails"
    for code in codes:
        for part in ("subject", "body"):
            assert (emails / f"commtype_{code.lower()}_{part}.txt").read_text("utf-8").strip()
