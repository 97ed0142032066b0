"""Encryption of what must be read again: AES-GCM with keys from the settings, newest first."""

import base64
import contextlib
import hashlib
import hmac
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from refundry.settings import BadSettings, Settings

_NONCE_BYTES = 12
KEY_FILE = "encryption.key"


class Vault:
    """Seals with the first key and opens with any of them, so that keys can be rotated."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        self._keys = list(keys)
        self._ciphers = [AESGCM(key) for key in keys]
        self.fingerprints = [hashlib.sha256(b"refundry" + key).hexdigest()[:16] for key in keys]

    def seal(self, text: str) -> bytes:
        """`text` encrypted, with its nonce in front."""
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + self._ciphers[0].encrypt(nonce, text.encode(), None)

    def open(self, sealed: bytes) -> str:
        """The text again. Raises BadSettings if none of the keys fits."""
        for cipher in self._ciphers:
            try:
                return cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], None).decode()
            except (InvalidTag, ValueError):  # Too short to be anything that was sealed.
                continue
        raise BadSettings("REFUNDRY_ENCRYPTION_KEY does not open what this database holds")

    def sign(self, purpose: str, text: str) -> bytes:
        """A signature of `text` with a key that is derived for `purpose`."""
        return _signature(self._keys[0], purpose, text)

    def verify(self, purpose: str, text: str, signature: bytes, length: int) -> bool:
        """Whether it is the first `length` bytes of a signature of `text` by any of the keys."""
        own = [_signature(key, purpose, text)[:length] for key in self._keys]
        return any(hmac.compare_digest(each, signature) for each in own)


def _signature(key: bytes, purpose: str, text: str) -> bytes:
    derived = hmac.digest(key, f"refundry {purpose}".encode(), hashlib.sha256)
    return hmac.digest(derived, text.encode(), hashlib.sha256)


def open_vault(settings: Settings) -> Vault:
    """The vault of the settings' keys; without any, of a key kept in the data directory."""
    if settings.encryption_key:
        return Vault([_read_key(text) for text in settings.encryption_key.split(",")])
    return Vault([_read_key(_kept_key(settings.data_dir))])


def fingerprints(keys: str) -> list[str]:
    """What tells keys apart without giving them away. keys: as set, the newest first.

    Raises BadSettings.
    """
    return Vault([_read_key(text) for text in keys.split(",")]).fingerprints


def _kept_key(data_dir: Path) -> str:
    """The key of a data directory, made the first time. It appears under its name only when it is
    whole: whoever dies while making it leaves no empty key behind."""
    path = data_dir / KEY_FILE
    data_dir.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        descriptor, name = tempfile.mkstemp(prefix=f"{KEY_FILE}.", dir=data_dir)  # mode 0600
        with os.fdopen(descriptor, "w") as file:
            file.write(base64.b64encode(os.urandom(32)).decode() + "\n")
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):  # Somebody else was quicker.
            os.link(name, path)
        os.unlink(name)
    return path.read_text("ascii").strip()


def _read_key(text: str) -> bytes:
    try:
        key = base64.b64decode(text.strip(), validate=True)
    except ValueError as error:
        raise BadSettings("an encryption key is not base64") from error
    if len(key) != 32:
        raise BadSettings("an encryption key must be 32 bytes in base64")
    return key
