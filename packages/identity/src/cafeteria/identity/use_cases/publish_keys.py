"""Publish keys: what verifies access tokens, for the other services, for browsers, and for identity itself."""

from cafeteria.contracts.identity import FetchJwks, Jwks, JwksAnswered
from cafeteria.identity.revocations import Revocations
from cafeteria.identity.signing_keys import SigningKeys


class PublishKeys:
    def __init__(self, signing_keys: SigningKeys, revocations: Revocations) -> None:
        self._signing_keys = signing_keys
        self._revocations = revocations

    async def __call__(self) -> Jwks:
        """Return the key that signs, and then the older keys."""
        return self._signing_keys.jwks

    async def with_revocations(self, request: FetchJwks) -> JwksAnswered:
        """Return the keys and a page of the live revocations. Raises DatabaseUnavailable."""
        page = await self._revocations.load(after=request.after)
        return JwksAnswered(keys=self._signing_keys.jwks.keys, revocations=page)

    async def for_this_process(self) -> Jwks:
        """Return the keys after all ended sessions are known to identity's own verifier. Raises DatabaseUnavailable."""
        await self._revocations.load_all()
        return self._signing_keys.jwks
