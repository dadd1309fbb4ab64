"""Secrets are created once, differ from one another, and only their owner can read them."""

import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from cafeteria.contracts.subjects import SERVICES
from cafeteria.provisioning import scram
from cafeteria.provisioning.credentials import ADMIN, Credentials


def contents(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir()}


def test_a_second_call_keeps_all_secrets(tmp_path: Path) -> None:
    Credentials.ensure(tmp_path / "secrets")
    first = contents(tmp_path / "secrets")
    Credentials.ensure(tmp_path / "secrets")
    assert contents(tmp_path / "secrets") == first
    assert len(set(first.values())) == len(first) == 2 * len((ADMIN, *SERVICES)) + 1


def test_only_their_owner_can_read_secrets_whatever_the_umask(tmp_path: Path) -> None:
    mask = os.umask(0)
    try:
        folder = Credentials.ensure(tmp_path / "secrets").folder
    finally:
        os.umask(mask)
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_missing_secret_is_created_and_the_others_stay(tmp_path: Path) -> None:
    credentials = Credentials.ensure(tmp_path)
    kept = credentials.nats_password("stock")
    credentials.postgres_file("stock").unlink()
    Credentials.ensure(tmp_path)
    assert credentials.nats_password("stock") == kept
    assert credentials.postgres_password("stock")


def test_concurrent_calls_return_the_same_secrets(tmp_path: Path) -> None:
    def read_secrets(_number: int) -> str:
        credentials = Credentials.ensure(tmp_path)
        return credentials.postgres_password(ADMIN) + credentials.signing_key_file.read_text()

    with ThreadPoolExecutor(8) as threads:
        assert len(set(threads.map(read_secrets, range(8)))) == 1


def test_the_signing_key_is_an_ed25519_key_in_pem(tmp_path: Path) -> None:
    pem = Credentials.ensure(tmp_path).signing_key_file.read_bytes()
    assert isinstance(load_pem_private_key(pem, password=None), Ed25519PrivateKey)


def test_a_verifier_contains_no_password_and_never_repeats() -> None:
    first, second = scram.verifier("iftar"), scram.verifier("iftar")
    assert first != second
    assert first.startswith("SCRAM-SHA-256$4096:")
    assert "iftar" not in first


def test_a_password_that_postgres_would_normalise_is_refused() -> None:
    with pytest.raises(UnicodeEncodeError):
        scram.verifier("ifṭār")
