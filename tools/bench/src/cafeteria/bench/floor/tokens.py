"""Access tokens (EdDSA): verified once with identity's public keys, then cached by their bytes."""

import base64
import time

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from nats.aio.client import Client

from cafeteria.bench.floor.shapes import JWKS

LEEWAY_S = 30


class Claims(msgspec.Struct, frozen=True):
    iss: str
    aud: str
    sub: str
    role: str
    iat: int
    exp: int


class Tokens:
    def __init__(self, keys: dict[str, Ed25519PublicKey]) -> None:
        self._keys = keys
        self._cache: dict[bytes, tuple[float, str]] = {}

    @classmethod
    async def of_identity(cls, bus: Client) -> "Tokens":
        answer = msgspec.json.decode((await bus.request(JWKS, b"{}", timeout=5)).data)
        return cls(
            {k["kid"]: Ed25519PublicKey.from_public_bytes(_decoded(k["x"].encode())) for k in answer["keys"]}
        )

    def student_of(self, authorization: bytes) -> str | None:
        """Return the student id, or None if the token is invalid."""
        scheme, _, token = authorization.partition(b" ")
        cached = self._cache.get(token)
        if cached is not None and cached[0] > time.time():
            return cached[1]
        if scheme.lower() != b"bearer":
            return None
        try:
            claims = self._verified(token)
        except (InvalidSignature, msgspec.MsgspecError, ValueError, KeyError):
            return None
        if claims.iss != "cafeteria-identity" or claims.aud != "cafeteria":
            return None
        if not claims.iat - LEEWAY_S <= time.time() <= claims.exp + LEEWAY_S:
            return None
        self._cache[token] = (claims.exp, claims.sub)
        return claims.sub

    def _verified(self, token: bytes) -> Claims:
        head, claims, signature = token.split(b".")
        header = msgspec.json.decode(_decoded(head))
        if header["alg"] != "EdDSA":
            raise ValueError
        self._keys[header["kid"]].verify(_decoded(signature), head + b"." + claims)
        return msgspec.json.decode(_decoded(claims), type=Claims)


def _decoded(text: bytes) -> bytes:
    return base64.urlsafe_b64decode(text + b"=" * (-len(text) % 4))
