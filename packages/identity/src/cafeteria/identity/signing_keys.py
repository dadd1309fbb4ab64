"""Sign access tokens and device cookies. The private key stays in this module: only signatures and public keys leave it.

A key's `kid` is its RFC 7638 thumbprint, so a key has the same name in every replica and after every restart.
"""

from base64 import urlsafe_b64encode
from collections.abc import Sequence
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from stat import S_IRWXG, S_IRWXO
from uuid import UUID

import jwt
import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

from cafeteria.chassis.auth.tokens import ALGORITHM, AUDIENCE, ISSUER
from cafeteria.chassis.observability.logs import get_logger
from cafeteria.contracts import identity
from cafeteria.contracts.values import Role
from cafeteria.identity.settings import SigningKeyUnusable

DEVICE_AUDIENCE = "cafeteria-device"

logger = get_logger()


class SigningKeys:
    """The key that signs, and the public keys that still verify tokens: its own first, then older ones."""

    def __init__(self, private: Ed25519PrivateKey, older: Sequence[Ed25519PublicKey] = ()) -> None:
        self._private = private
        publics = {_jwk(key).kid: key for key in (private.public_key(), *older)}
        self._publics = publics
        self.kid = next(iter(publics))
        self.jwks = identity.Jwks(keys=tuple(_jwk(key) for key in publics.values()))

    @classmethod
    def load(cls, signing_key_file: str, *, older_key_files: Sequence[str] = ()) -> "SigningKeys":
        """Read the key files. Raises SigningKeyUnusable, whose sentence names the file."""
        return cls(
            _load_private(Path(signing_key_file)), [_load_public(Path(each)) for each in older_key_files]
        )

    def sign_access_token(
        self, *, student_id: str, role: Role, session: UUID, issued_at: datetime, expires_at: datetime
    ) -> str:
        """Return a JWT. Its times are whole seconds."""
        claims = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": student_id,
            "role": role.value,
            "sid": str(session),
            "iat": int(issued_at.timestamp()),
            "exp": int(expires_at.timestamp()),
        }
        return jwt.encode(claims, self._private, algorithm=ALGORITHM, headers={"kid": self.kid})

    def sign_device(self, *, student_id: str, device: UUID, expires_at: datetime) -> str:
        """Return a JWT that proves a device's login for the student id, and is no access token."""
        claims = {
            "iss": ISSUER,
            "aud": DEVICE_AUDIENCE,
            "sub": student_id,
            "jti": str(device),
            "exp": int(expires_at.timestamp()),
        }
        return jwt.encode(claims, self._private, algorithm=ALGORITHM, headers={"kid": self.kid})

    def verify_device(self, token: str, *, student_id: str) -> UUID | None:
        """Return the device of a valid JWT of `sign_device` for the student id; None for any other text."""
        try:
            key = self._publics.get(jwt.get_unverified_header(token).get("kid", ""))
            if key is None:
                return None
            claims = jwt.decode(
                token,
                key,
                algorithms=[ALGORITHM],
                audience=DEVICE_AUDIENCE,
                issuer=ISSUER,
                subject=student_id,
                options={"require": ["iss", "aud", "sub", "jti", "exp"]},
            )
            return UUID(claims["jti"])
        except (jwt.InvalidTokenError, ValueError):
            return None


def _jwk(key: Ed25519PublicKey) -> identity.Jwk:
    x = _base64url(key.public_bytes_raw())
    thumbprint = sha256(msgspec.json.encode({"crv": "Ed25519", "kty": "OKP", "x": x})).digest()
    return identity.Jwk(kid=_base64url(thumbprint), x=x)


def _base64url(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode("ascii")


def _load_private(path: Path) -> Ed25519PrivateKey:
    pem = _read(path)
    try:
        key = load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise SigningKeyUnusable(
            f"The signing key {path} is not an unencrypted private key in PEM form (PKCS8)."
        ) from None
    if not isinstance(key, Ed25519PrivateKey):
        raise SigningKeyUnusable(f"The signing key {path} is not an Ed25519 key; other kinds are not used.")
    if path.stat().st_mode & (S_IRWXG | S_IRWXO):
        logger.warning(
            "signing_key_exposed", path=str(path), advice="Only its owner should read it: chmod 600."
        )
    return key


def _load_public(path: Path) -> Ed25519PublicKey:
    """Load an older key from a file with the private key, or only its public half."""
    if b"PRIVATE KEY" in _read(path):
        return _load_private(path).public_key()
    try:
        key = load_pem_public_key(_read(path))
    except (ValueError, UnsupportedAlgorithm):
        raise SigningKeyUnusable(f"The older key {path} is not a key in PEM form.") from None
    if not isinstance(key, Ed25519PublicKey):
        raise SigningKeyUnusable(f"The older key {path} is not an Ed25519 key; other kinds are not used.")
    return key


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise SigningKeyUnusable(f"The key file {path} cannot be read: {error.strerror}.") from None
