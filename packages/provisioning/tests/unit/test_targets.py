"""The bootstrap reads its servers from the environment and shows no password."""

from collections.abc import Callable
from pathlib import Path

import pytest

from cafeteria.provisioning.credentials import Credentials
from cafeteria.provisioning.errors import StackError
from cafeteria.provisioning.targets import (
    Targets,
    nats_admin_url,
    postgres_admin_url,
    secrets_folder,
    without_credentials,
)


@pytest.fixture
def credentials(tmp_path: Path) -> Credentials:
    return Credentials.ensure(tmp_path / "secrets")


@pytest.mark.parametrize("url_of", [postgres_admin_url, nats_admin_url])
def test_an_administrators_url_gets_the_credentials_that_it_lacks(
    url_of: Callable[[str, Credentials], str], credentials: Credentials
) -> None:
    filled = url_of("x://db:1234", credentials)
    assert ":1234" in filled
    assert "@db" in filled
    assert url_of("x://me:p%40ss@db:1", credentials).count("me:p%40ss@db:1") == 1


def test_a_service_receives_no_credentials() -> None:
    assert without_credentials("nats://admin:secret@bus:4222") == "nats://bus:4222"
    assert without_credentials("postgresql://me:secret@db:5432/cafeteria") == "postgresql://db:5432/cafeteria"


def test_the_bootstrap_refuses_to_run_without_a_servers_url(tmp_path: Path) -> None:
    with pytest.raises(StackError, match="CAFETERIA_POSTGRES_URL is not set"):
        Targets.from_environment({"CAFETERIA_SECRETS_DIR": str(tmp_path)})


def test_the_bootstrap_adds_accounts_with_a_published_password_only_when_told(tmp_path: Path) -> None:
    environment = {
        "CAFETERIA_SECRETS_DIR": str(tmp_path),
        "CAFETERIA_POSTGRES_URL": "postgresql://db",
        "CAFETERIA_NATS_URL": "nats://bus",
    }
    assert not Targets.from_environment(environment).with_demo_data
    assert Targets.from_environment({**environment, "CAFETERIA_DEMO_DATA": "true"}).with_demo_data


def test_targets_do_not_show_passwords(tmp_path: Path) -> None:
    targets = Targets.from_environment(
        {
            "CAFETERIA_SECRETS_DIR": str(tmp_path),
            "CAFETERIA_POSTGRES_URL": "postgresql://db",
            "CAFETERIA_NATS_URL": "nats://bus",
        }
    )
    assert Credentials(tmp_path).postgres_password("admin") in targets.postgres_url
    assert Credentials(tmp_path).postgres_password("admin") not in repr(targets)
    assert Credentials(tmp_path).nats_password("admin") not in repr(targets)


def test_secrets_are_in_the_data_folder_unless_a_folder_of_their_own_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert secrets_folder({}) == tmp_path / ".cafeteria" / "secrets"
    assert secrets_folder({"CAFETERIA_HOME": "/srv/caf"}) == Path("/srv/caf/secrets")
    environment = {"CAFETERIA_HOME": "/srv/caf", "CAFETERIA_SECRETS_DIR": "/run/secrets"}
    assert secrets_folder(environment) == Path("/run/secrets")
