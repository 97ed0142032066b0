import base64
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from refundry.sealing import Vault, open_vault
from refundry.settings import BadSettings, Settings

OLD, NEW = bytes(range(32)), bytes(range(32, 64))


def in_base64(key: bytes) -> str:
    return base64.b64encode(key).decode()


def test_what_is_sealed_can_be_opened_and_does_not_show() -> None:
    vault = Vault([OLD])
    sealed = vault.seal("IBAN é 😀")
    assert vault.open(sealed) == "IBAN é 😀"
    assert b"IBAN" not in sealed


def test_the_same_text_is_never_sealed_the_same_way() -> None:
    vault = Vault([OLD])
    assert len({vault.seal("x") for _ in range(100)}) == 100


def test_a_new_key_seals_and_the_old_one_still_opens() -> None:
    sealed = Vault([OLD]).seal("x")
    rotated = Vault([NEW, OLD])
    assert rotated.open(sealed) == "x"
    assert Vault([NEW]).open(rotated.seal("y")) == "y"
    with pytest.raises(BadSettings):
        Vault([OLD]).open(rotated.seal("y"))


def test_another_key_opens_nothing() -> None:
    with pytest.raises(BadSettings, match="REFUNDRY_ENCRYPTION_KEY"):
        Vault([NEW]).open(Vault([OLD]).seal("x"))


@pytest.mark.parametrize("place", [0, 12, -1])
def test_a_changed_byte_is_noticed(place: int) -> None:
    sealed = bytearray(Vault([OLD]).seal("x"))
    sealed[place] ^= 1
    with pytest.raises(BadSettings):
        Vault([OLD]).open(bytes(sealed))


def test_fingerprints_tell_keys_apart_without_showing_them() -> None:
    vault = Vault([OLD, NEW])
    assert len(set(vault.fingerprints)) == 2
    assert Vault([NEW]).fingerprints == vault.fingerprints[1:]
    assert OLD.hex() not in "".join(vault.fingerprints)


def test_keys_come_from_the_settings_newest_first() -> None:
    text = f"{in_base64(NEW)}, {in_base64(OLD)}"
    vault = open_vault(Settings(encryption_key=text))
    assert vault.fingerprints == Vault([NEW, OLD]).fingerprints


@pytest.mark.parametrize(
    "text", ["secret", "AAAA", in_base64(bytes(31)), in_base64(bytes(33)), in_base64(OLD) + ","]
)
def test_a_key_must_be_32_bytes_in_base64(text: str) -> None:
    with pytest.raises(BadSettings, match="encryption key"):
        open_vault(Settings(encryption_key=text))


def test_without_a_key_one_is_made_and_kept_for_its_owner_alone(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path / "data")
    sealed = open_vault(settings).seal("x")
    kept = tmp_path / "data" / "encryption.key"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert open_vault(settings).open(sealed) == "x"
    assert len(base64.b64decode(kept.read_text())) == 32


def test_those_who_make_a_key_at_once_get_the_same(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    with ThreadPoolExecutor(8) as pool:
        vaults = list(pool.map(open_vault, [settings] * 8))
    assert len({vault.fingerprints[0] for vault in vaults}) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["encryption.key"]


def test_a_kept_key_that_is_damaged_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "encryption.key").write_text("")
    with pytest.raises(BadSettings):
        open_vault(Settings(data_dir=tmp_path))
    assert (tmp_path / "encryption.key").read_text() == ""


@pytest.mark.parametrize("length", [0, 1, 11, 12, 27, 28, 60])
def test_what_was_never_sealed_is_not_opened(length: int) -> None:
    with pytest.raises(BadSettings, match="REFUNDRY_ENCRYPTION_KEY"):
        Vault([OLD]).open(bytes(length))
