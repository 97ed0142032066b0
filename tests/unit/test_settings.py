from pathlib import Path

import pytest
from msgspec.structs import replace

from refundry.settings import BadSettings, Settings, environment_of, load_settings, masked

HTTP = {"processor": "http", "processor_url": "https://pay.example", "processor_secret": "s"}


@pytest.fixture(autouse=True)
def working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory, so that no refundry.toml of the checkout counts."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_defaults_hold_where_nothing_is_said() -> None:
    settings = load_settings({}, {})
    assert settings == Settings()
    assert (settings.port, settings.rate_limit_test, settings.rate_limit_live) == (8080, 25, 250)
    assert (settings.processor, settings.test_processor) == ("manual", "sandbox")
    assert (settings.sandbox_delay, settings.refund_batch_window) == (60, 0)


def test_options_beat_variables_beat_the_file_beats_defaults(working_directory: Path) -> None:
    (working_directory / "refundry.toml").write_text(
        'port = 1111\nhost = "file"\npool_size = 7\nlog_level = "debug"'
    )
    variables = {"REFUNDRY_PORT": "2222", "REFUNDRY_HOST": "variable"}
    settings = load_settings(variables, {"port": 3333, "host": None})
    assert settings.port == 3333
    assert settings.host == "variable"
    assert settings.pool_size == 7
    assert settings.log_level == "debug"
    assert settings.processes == 1


def test_an_empty_variable_and_a_missing_option_say_nothing(working_directory: Path) -> None:
    (working_directory / "refundry.toml").write_text("port = 1111")
    assert load_settings({"REFUNDRY_PORT": ""}, {"port": None}).port == 1111


def test_a_file_may_be_named_and_must_then_be_there(working_directory: Path) -> None:
    (working_directory / "refundry.toml").write_text("port = 1111")
    named = working_directory / "other.toml"
    named.write_text("port = 2222")
    assert load_settings({"REFUNDRY_CONFIG": str(named)}, {}).port == 2222
    with pytest.raises(BadSettings, match=r"missing\.toml"):
        load_settings({"REFUNDRY_CONFIG": "missing.toml"}, {})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("prot = 1", "refundry.toml: unknown setting prot"),
        ("[server]\nport = 1", "unknown setting server"),
        ("port = ", "refundry.toml"),
        ("\udcff", "refundry.toml"),
        ('port = "eighty"', "port"),
        ("port = 65536", "port"),
        ("port = -1", "port"),
        ("pool_size = 0", "pool_size"),
        ("processes = 0", "processes"),
        ("rate_limit_live = -1", "rate_limit_live"),
        ("sandbox_delay = -1", "sandbox_delay"),
        ("processor_timeout = 0", "processor_timeout"),
        ('log_level = "loud"', "log_level"),
        ('processor = "stripe"', "processor"),
        ('processor = "http"', "processor_url and processor_secret"),
        ('test_processor = "http"\ntest_processor_url = "http://x"', "test_processor_secret"),
        ('database_url = "mysql://h/d"', "database_url"),
        ('database_url = "h/d"', "database_url"),
    ],
)
def test_what_cannot_be_used_is_named(working_directory: Path, text: str, message: str) -> None:
    file = working_directory / "refundry.toml"
    file.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(BadSettings, match=message):
        load_settings({}, {})


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("PORT", "9090", 9090),
        ("PGBOUNCER", "true", True),
        ("PGBOUNCER", "1", True),
        ("TEST_CLOCK", "false", False),
        ("TEST_CLOCK", "0", False),
        ("SANDBOX_DELAY", "0.5", 0.5),
        ("DATA_DIR", "/srv/data", Path("/srv/data")),
        ("DATABASE_URL", "postgresql://h:5432/d", "postgresql://h:5432/d"),
        ("ENCRYPTION_KEY", "12345", "12345"),
    ],
)
def test_variables_are_text_of_every_kind(name: str, text: str, value: object) -> None:
    settings = load_settings({f"REFUNDRY_{name}": text}, {})
    assert getattr(settings, name.lower()) == value


def test_variables_of_others_do_not_matter() -> None:
    assert (
        load_settings({"PORT": "1", "REFUNDRY_PROT": "1", "refundry_port": "1"}, {}) == Settings()
    )


def test_every_secret_is_masked_and_nothing_else() -> None:
    secrets = ("encryption_key", "sandbox_secret", "processor_secret", "test_processor_secret")
    settings = load_settings({}, dict.fromkeys(secrets, "hush-hush"))
    shown = masked(settings)
    assert {name for name, value in shown.items() if value == "********"} == set(secrets)
    assert "hush" not in str(shown)
    assert set(shown) == set(Settings.__struct_fields__)
    assert shown["port"] == 8080


@pytest.mark.parametrize(
    ("given", "address"),
    [
        ({}, "http://127.0.0.1:8080"),
        ({"host": "::1", "port": 1}, "http://[::1]:1"),
        ({"public_url": "https://refunds.shop.example/"}, "https://refunds.shop.example"),
        ({"public_url": "http://localhost:81"}, "http://localhost:81"),
    ],
)
def test_links_begin_with_the_public_url_or_where_the_service_listens(
    given: dict[str, object], address: str
) -> None:
    assert load_settings({}, given).public_address() == address


@pytest.mark.parametrize(
    "url", ["shop.example", "ftp://shop.example", "https://", "https://a b", "https://shop/path",
            "https://user:word@shop", "https://shop?x=1"]
)  # fmt: skip
def test_a_public_url_is_an_origin(url: str) -> None:
    with pytest.raises(BadSettings, match="public_url is not of the form https://host:port"):
        load_settings({}, {"public_url": url})


def test_a_secret_that_is_not_set_is_shown_as_not_set() -> None:
    assert masked(Settings())["encryption_key"] is None


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://u:secret@h:5432/d", "postgresql://u:********@h:5432/d"),
        ("postgresql://u:se@cr:et@h/d", "postgresql://u:********@h/d"),
        ("postgresql://u@h/d", "postgresql://u@h/d"),
        ("postgresql://h:5432/d", "postgresql://h:5432/d"),
        ("postgresql://h/d?user=u&password=secret", "postgresql://h/d?user=u&password=********"),
        ("postgresql://h:1/d?application_name=a@b", "postgresql://h:1/d?application_name=a@b"),
    ],
)
def test_a_database_url_is_shown_without_its_password(url: str, shown: str) -> None:
    assert masked(load_settings({}, {"database_url": url}))["database_url"] == shown


def test_settings_survive_the_way_to_another_process() -> None:
    settings = load_settings(
        {},
        HTTP | {"data_dir": "data", "test_clock": True, "sandbox_delay": 1.5, "port": 0},
    )
    after = load_settings(environment_of(settings), {})
    assert after == replace(settings, data_dir=Path("data").absolute())
    assert (after.processor, after.test_clock, after.port) == ("http", True, 0)
