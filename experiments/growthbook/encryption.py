"""Encrypts a payload for GrowthBook's SDKs, and decrypts it: AES-128-CBC, in base64."""

import binascii
import hashlib
import hmac
from base64 import b64decode, b64encode

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC
from cryptography.hazmat.primitives.padding import PKCS7

KEY_BYTES = 16
BLOCK_BYTES = 16


class Undecipherable(ValueError):
    """The text was not encrypted with this key, or the key is none."""


def encrypt(text: str, key: str) -> str:
    """Encrypt a text as `base64(iv).base64(ciphertext)`.

    The initialisation vector is made of key and text, so every process writes the same bytes and a
    client that has them need not fetch them again. Who sees two equal ciphertexts learns that the
    content is the same, which its ETag says anyway.

    Args:
        text: What to encrypt.
        key: 16 bytes in base64.

    Raises:
        ValueError: The key is none.
    """
    secret = _read_key(key)
    plain = text.encode()
    iv = hmac.digest(secret, plain, hashlib.sha256)[:BLOCK_BYTES]
    padder = PKCS7(AES.block_size).padder()
    encryptor = Cipher(AES(secret), CBC(iv)).encryptor()
    padded = padder.update(plain) + padder.finalize()
    encrypted = encryptor.update(padded) + encryptor.finalize()
    return f"{b64encode(iv).decode()}.{b64encode(encrypted).decode()}"


def decrypt(encrypted: str, key: str) -> str:
    """Decrypt what `encrypt` wrote.

    Raises:
        Undecipherable: It was not written with this key, or was damaged since.
    """
    first, _, second = encrypted.partition(".")
    try:
        iv, content = b64decode(first, validate=True), b64decode(second, validate=True)
        decryptor = Cipher(AES(_read_key(key)), CBC(iv)).decryptor()
        padded = decryptor.update(content) + decryptor.finalize()
        unpadder = PKCS7(AES.block_size).unpadder()
        return (unpadder.update(padded) + unpadder.finalize()).decode()
    except ValueError as error:
        raise Undecipherable("It cannot be decrypted with this key.") from error


def _read_key(key: str) -> bytes:
    try:
        secret = b64decode(key, validate=True)
    except binascii.Error as error:
        raise Undecipherable("The key is not base64.") from error
    if len(secret) != KEY_BYTES:
        raise Undecipherable(f"The key has {len(secret)} bytes instead of {KEY_BYTES}.")
    return secret
