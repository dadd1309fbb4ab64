"""Computes SCRAM-SHA-256 verifiers (RFC 5803, as Postgres stores them), so that no statement contains a password.

Postgres logs the text of a failed statement; a verifier in that log does not allow a login.
"""

import base64
import hashlib
import hmac
import secrets

ITERATIONS = 4096  # Postgres' own default; the passwords are random and long
SALT_BYTES = 16


def verifier(password: str) -> str:
    """Return the verifier for `PASSWORD '…'` in CREATE ROLE and ALTER ROLE.

    `password` is ASCII, which SASLprep leaves unchanged. Raises `UnicodeEncodeError` for other characters.
    """
    salt = secrets.token_bytes(SALT_BYTES)
    salted = hashlib.pbkdf2_hmac("sha256", password.encode("ascii"), salt, ITERATIONS)
    stored = hashlib.sha256(_mac(salted, b"Client Key")).digest()
    server = _mac(salted, b"Server Key")
    return f"SCRAM-SHA-256${ITERATIONS}:{_text(salt)}${_text(stored)}:{_text(server)}"


def _mac(key: bytes, message: bytes) -> bytes:
    return hmac.new(key, message, hashlib.sha256).digest()


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
