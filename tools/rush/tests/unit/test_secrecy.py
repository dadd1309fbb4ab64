"""Every kind of secret planted in a log is found; a log without one is clean."""

from pathlib import Path

import pytest

from cafeteria.rush.secrecy import leaks

PEM = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIJ1aTqZ9example\n-----END PRIVATE KEY-----\n"  # pragma: allowlist secret
TOKEN = "eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiIyMTAwNDExMDEifQ.c2lnbmF0dXJl"  # pragma: allowlist secret


@pytest.fixture
def data_directory(tmp_path: Path) -> Path:
    for folder in ("logs", "secrets"):
        (tmp_path / folder).mkdir()
    (tmp_path / "secrets" / "postgres-stock").write_text("uVq0p3cVh0rXkqA5yWn2\n")
    (tmp_path / "secrets" / "identity-signing-key.pem").write_text(PEM)
    (tmp_path / "logs" / "empty.log").touch()
    return tmp_path


def leaks_in(data_directory: Path, line: str) -> list[str]:
    (data_directory / "logs" / "stock.log").write_text(f'{{"event":"request"}}\n{line}\n')
    return list(
        leaks(
            data_directory / "logs", secrets=data_directory / "secrets", tokens=["refresh-token-of-a-student"]
        )
    )


def test_a_log_without_secrets_is_clean(data_directory: Path) -> None:
    assert leaks_in(data_directory, '{"event":"order_placed","order_id":"0190"}') == []


@pytest.mark.parametrize(
    ("secret", "what"),
    [
        ("uVq0p3cVh0rXkqA5yWn2", "a line of postgres-stock"),
        ("MC4CAQAwBQYDK2VwBCIEIJ1aTqZ9example", "a line of identity-signing-key.pem"),
        ("-----BEGIN PRIVATE KEY-----", "a private key"),
        ("iftar-rush-2026", "the students' password"),
        ("refresh-token-of-a-student", "a student's token"),
        (TOKEN, "a signed token"),
    ],
)
def test_a_planted_secret_is_found_and_not_repeated(data_directory: Path, secret: str, what: str) -> None:
    [sentence] = leaks_in(data_directory, f'{{"event":"oops","value":"{secret}"}}')
    assert f"stock.log holds {what} at byte" in sentence
    assert secret not in sentence
