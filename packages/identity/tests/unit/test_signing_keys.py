"""The key files that are accepted, and the tokens that are signed."""

import json
from base64 import urlsafe_b64decode
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from uuid import UUID

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from structlog.testing import capture_logs

from cafeteria.contracts.values import Role
from cafeteria.identity.settings import SigningKeyUnusable
from cafeteria.identity.signing_keys import SigningKeys

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def pem_of(key: PrivateKeyTypes, encryption: KeySerializationEncryption | None = None) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption or NoEncryption())


def write(path: Path, content: bytes, *, mode: int = 0o600) -> str:
    path.write_bytes(content)
    path.chmod(mode)
    return str(path)


@pytest.fixture
def private() -> Ed25519PrivateKey:
    return Ed25519PrivateKey.generate()


def test_a_token_names_its_key_and_its_subject(private: Ed25519PrivateKey) -> None:
    keys = SigningKeys(private)
    token = keys.sign_access_token(
        student_id="210041101",
        role=Role.KITCHEN,
        session=UUID(int=7),
        issued_at=NOON,
        expires_at=NOON + timedelta(minutes=15),
    )
    assert jwt.get_unverified_header(token) == {"alg": "EdDSA", "kid": keys.kid, "typ": "JWT"}
    claims = jwt.decode(
        token,
        private.public_key(),
        algorithms=["EdDSA"],
        audience="cafeteria",
        issuer="cafeteria-identity",
        options={"verify_exp": False, "verify_iat": False},
    )
    assert claims == {
        "iss": "cafeteria-identity",
        "aud": "cafeteria",
        "sub": "210041101",
        "role": "kitchen",
        "sid": "00000000-0000-0000-0000-000000000007",
        "iat": int(NOON.timestamp()),
        "exp": int(NOON.timestamp()) + 900,
    }


def test_the_kid_is_the_thumbprint_of_rfc_7638(private: Ed25519PrivateKey) -> None:
    (jwk,) = SigningKeys(private).jwks.keys
    canonical = json.dumps({"crv": "Ed25519", "kty": "OKP", "x": jwk.x}, separators=(",", ":")).encode()
    assert urlsafe_b64decode(jwk.kid + "=") == sha256(canonical).digest()
    assert urlsafe_b64decode(jwk.x + "=") == private.public_key().public_bytes_raw()


def test_the_example_key_of_rfc_8037_has_the_thumbprint_printed_there() -> None:
    seed = urlsafe_b64decode("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A=")
    assert (
        SigningKeys(Ed25519PrivateKey.from_private_bytes(seed)).kid
        == "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"
    )


def test_the_same_file_is_the_same_key_after_a_restart(private: Ed25519PrivateKey, tmp_path: Path) -> None:
    path = write(tmp_path / "key.pem", pem_of(private))
    assert SigningKeys.load(path).jwks == SigningKeys.load(path).jwks == SigningKeys(private).jwks


def test_older_keys_verify_but_do_not_sign(private: Ed25519PrivateKey, tmp_path: Path) -> None:
    older, oldest = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
    public_pem = oldest.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    keys = SigningKeys.load(
        write(tmp_path / "now.pem", pem_of(private)),
        older_key_files=[
            write(tmp_path / "older.pem", pem_of(older)),
            write(tmp_path / "oldest.pem", public_pem),
            write(tmp_path / "again.pem", pem_of(private)),
        ],
    )
    assert [jwk.kid for jwk in keys.jwks.keys] == [SigningKeys(each).kid for each in (private, older, oldest)]
    assert keys.kid == SigningKeys(private).kid


def test_a_missing_key_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SigningKeyUnusable, match=r"nowhere\.pem cannot be read: No such file"):
        SigningKeys.load(str(tmp_path / "nowhere.pem"))


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "not an unencrypted private key in PEM form"),
        (
            b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",  # pragma: allowlist secret
            "not an unencrypted private key",
        ),
        (
            pem_of(Ed25519PrivateKey.generate(), BestAvailableEncryption(b"secret")),
            "not an unencrypted private key",
        ),
        (pem_of(generate_private_key(SECP256R1())), "is not an Ed25519 key"),
    ],
)
def test_any_other_file_is_refused_with_a_sentence(content: bytes, sentence: str, tmp_path: Path) -> None:
    path = write(tmp_path / "key.pem", content)
    with pytest.raises(SigningKeyUnusable, match=sentence):
        SigningKeys.load(path)


@pytest.mark.parametrize("content", [b"", pem_of(generate_private_key(SECP256R1()))])
def test_an_older_key_follows_the_same_rules(
    private: Ed25519PrivateKey, content: bytes, tmp_path: Path
) -> None:
    path = write(tmp_path / "key.pem", pem_of(private))
    with pytest.raises(SigningKeyUnusable, match=r"older\.pem is not"):
        SigningKeys.load(path, older_key_files=[write(tmp_path / "older.pem", content)])


@pytest.mark.parametrize(("mode", "warnings"), [(0o600, 0), (0o400, 0), (0o640, 1), (0o604, 1)])
def test_a_key_file_that_others_may_read_gives_a_warning(
    private: Ed25519PrivateKey, mode: int, warnings: int, tmp_path: Path
) -> None:
    path = write(tmp_path / "key.pem", pem_of(private), mode=mode)
    with capture_logs() as lines:
        SigningKeys.load(path)
    assert [line["event"] for line in lines] == ["signing_key_exposed"] * warnings
