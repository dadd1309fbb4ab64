"""A service accepts the testkit's tokens as it accepts identity's: in every role, until they expire."""

from datetime import timedelta
from pathlib import Path

import pytest

from cafeteria.chassis.auth.jwks import KeySource
from cafeteria.chassis.auth.tokens import TokenVerifier
from cafeteria.chassis.runtime.errors import Unauthenticated
from cafeteria.contracts.identity import Jwks
from cafeteria.contracts.values import Role
from cafeteria.identity.signing_keys import SigningKeys
from cafeteria.provisioning.credentials import Credentials
from cafeteria.testkit.tokens import Tokens


@pytest.fixture
def signing_key_file(tmp_path: Path) -> Path:
    return Credentials.ensure(tmp_path).signing_key_file


@pytest.fixture
async def verifier(signing_key_file: Path) -> TokenVerifier:
    """A verifier with the public key, as a service has it."""

    async def fetch() -> Jwks:
        return SigningKeys.load(str(signing_key_file)).jwks

    keys = KeySource(fetch)
    await keys.refresh()
    return TokenVerifier(keys)


async def test_a_token_of_each_role_is_accepted(signing_key_file: Path, verifier: TokenVerifier) -> None:
    tokens = Tokens(signing_key_file)
    for token, role in (
        (tokens.student(), Role.STUDENT),
        (tokens.kitchen(), Role.KITCHEN),
        (tokens.operator(), Role.OPERATOR),
    ):
        assert (await verifier.verify(token.encode())).role is role


async def test_an_expired_token_is_refused(signing_key_file: Path, verifier: TokenVerifier) -> None:
    token = Tokens(signing_key_file).sign("210041101", Role.STUDENT, lifetime=-timedelta(hours=1))
    with pytest.raises(Unauthenticated):
        await verifier.verify(token.encode())
