"""Device cookies: which ones prove a device, and that they are no access tokens."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from cafeteria.contracts.values import Role
from cafeteria.identity.device_cookies import LIFETIME_S, DeviceCookies
from cafeteria.identity.signing_keys import SigningKeys

STUDENT, OTHER = "210041101", "210041102"
SESSION, LATER_SESSION = UUID(int=1), UUID(int=2)


@pytest.fixture
def private() -> Ed25519PrivateKey:
    return Ed25519PrivateKey.generate()


@pytest.fixture
def keys(private: Ed25519PrivateKey) -> SigningKeys:
    return SigningKeys(private)


@pytest.fixture
def devices(keys: SigningKeys) -> DeviceCookies:
    return DeviceCookies(keys)


def renewed(devices: DeviceCookies, *cookies: bytes, student_id: str = STUDENT) -> bytes:
    return devices.renew(cookies, student_id=student_id, session=SESSION).encode()


def test_a_cookie_proves_its_device_for_its_student_alone(devices: DeviceCookies) -> None:
    cookie = renewed(devices)
    assert devices.read([cookie], student_id=STUDENT) == SESSION
    assert devices.read([cookie], student_id=OTHER) is None
    assert devices.read([], student_id=STUDENT) is None


def test_a_known_device_keeps_its_id_and_a_new_one_has_that_of_its_session(devices: DeviceCookies) -> None:
    again = devices.renew([renewed(devices)], student_id=STUDENT, session=LATER_SESSION)
    assert devices.read([again.encode()], student_id=STUDENT) == SESSION
    of_other = devices.renew([again.encode()], student_id=OTHER, session=LATER_SESSION)
    assert devices.read([of_other.encode()], student_id=OTHER) == LATER_SESSION


def test_a_cookie_lasts_for_180_days(keys: SigningKeys, devices: DeviceCookies) -> None:
    claims = jwt.decode(renewed(devices), options={"verify_signature": False})
    left = claims["exp"] - datetime.now(UTC).timestamp()
    assert LIFETIME_S - 60 < left <= LIFETIME_S == 180 * 86400
    ended = keys.sign_device(student_id=STUDENT, device=SESSION, expires_at=datetime.now(UTC))
    assert devices.read([ended.encode()], student_id=STUDENT) is None


def test_a_forged_cookie_is_none(
    private: Ed25519PrivateKey, keys: SigningKeys, devices: DeviceCookies
) -> None:
    genuine = renewed(devices)
    head, claims, signature = genuine.split(b".")
    stranger = SigningKeys(Ed25519PrivateKey.generate())
    payload = {"iss": "cafeteria-identity", "aud": "cafeteria-device", "sub": STUDENT, "jti": str(SESSION)}
    later = int(datetime.now(UTC).timestamp()) + 60
    public = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    signed: dict[str, Any] = {"key": private, "algorithm": "EdDSA", "headers": {"kid": keys.kid}}
    forged: list[bytes | str] = [
        renewed(DeviceCookies(stranger)),
        b".".join((head, claims, renewed(devices, student_id=OTHER).split(b".")[2])),
        b".".join((head, claims, b"")),
        jwt.encode({**payload, "exp": later}, "", algorithm="none", headers={"kid": keys.kid}),
        jwt.encode({**payload, "exp": later}, public[:40], algorithm="HS256", headers={"kid": keys.kid}),
        jwt.encode(payload, **signed),
        jwt.encode({**payload, "exp": later, "aud": "cafeteria"}, **signed),
        jwt.encode({**payload, "exp": later, "jti": "no id"}, **signed),
        jwt.encode({**payload, "exp": later, "iss": "somebody"}, **signed),
        genuine + b"x" * 1024,
        *(b"", b".", b"a.b.c", b"\xff\x00", b"e30.e30.e30", signature),
    ]
    for cookie in forged:
        raw = cookie if isinstance(cookie, bytes) else cookie.encode()
        assert devices.read([raw], student_id=STUDENT) is None, raw


def test_neither_token_is_taken_for_the_other(keys: SigningKeys, devices: DeviceCookies) -> None:
    until = datetime.now(UTC) + timedelta(minutes=5)
    access = keys.sign_access_token(
        student_id=STUDENT, role=Role.STUDENT, session=SESSION, issued_at=until, expires_at=until
    )
    assert devices.read([access.encode()], student_id=STUDENT) is None


def test_a_genuine_cookie_counts_beside_planted_ones_and_few_are_tried(devices: DeviceCookies) -> None:
    planted, genuine = renewed(devices, student_id=OTHER), renewed(devices)
    assert devices.read([planted] * 3 + [genuine], student_id=STUDENT) == SESSION
    assert devices.read([planted] * 4 + [genuine], student_id=STUDENT) is None


@pytest.mark.parametrize("has_private_half", [True, False])
def test_cookies_of_older_keys_count(tmp_path: Path, *, has_private_half: bool) -> None:
    old, new = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
    files = {name: tmp_path / name for name in ("new", "old")}
    private_form = (Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    files["new"].write_bytes(new.private_bytes(*private_form))
    files["old"].write_bytes(
        old.private_bytes(*private_form)
        if has_private_half
        else old.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    )
    cookie = renewed(DeviceCookies(SigningKeys(old)))
    now = SigningKeys.load(str(files["new"]), older_key_files=[str(files["old"])])
    assert DeviceCookies(now).read([cookie], student_id=STUDENT) == SESSION
    assert DeviceCookies(SigningKeys(new)).read([cookie], student_id=STUDENT) is None
    again = renewed(DeviceCookies(now), cookie)
    assert DeviceCookies(SigningKeys(new)).read([again], student_id=STUDENT) == SESSION
