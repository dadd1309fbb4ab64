"""Publish keys: the public keys that verify access tokens, for the other services, for browsers, and for identity itself."""

from cafeteria.contracts.identity import Jwks
from cafeteria.identity.signing_keys import SigningKeys


class PublishKeys:
    def __init__(self, signing_keys: SigningKeys) -> None:
        self._signing_keys = signing_keys

    async def __call__(self) -> Jwks:
        """Return the key that signs, and then the older keys."""
        return self._signing_keys.jwks
