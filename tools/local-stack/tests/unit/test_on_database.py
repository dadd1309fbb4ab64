"""A command finds the database of the stack that runs here, unless the environment names another."""

from pathlib import Path

import pytest

from cafeteria.local_stack.data_directory import DataDirectory
from cafeteria.local_stack.on_database import variables_for
from cafeteria.provisioning.errors import StackError

TOOL = "cafeteria.provisioning.student_data"


@pytest.fixture
def home(tmp_path: Path) -> DataDirectory:
    home = DataDirectory(root=tmp_path)
    home.postgres.mkdir()
    (home.postgres / "postmaster.pid").write_text("4711\n/data\n1790000000\n5433\n/tmp\n127.0.0.1\n")
    return home


def test_it_names_the_running_server_and_the_secrets(home: DataDirectory) -> None:
    assert variables_for(TOOL, home, {}) == {
        "CAFETERIA_POSTGRES_URL": "postgresql://127.0.0.1:5433/cafeteria",
        "CAFETERIA_SECRETS_DIR": str(home.secrets),
    }


def test_a_services_command_gets_its_roles_password(home: DataDirectory) -> None:
    found = variables_for("cafeteria.identity.tool", home, {})
    assert found["CAFETERIA_POSTGRES_PASSWORD_FILE"] == str(home.secrets / "postgres-identity")


def test_a_server_that_the_environment_names_wins(home: DataDirectory) -> None:
    assert variables_for(TOOL, home, {"CAFETERIA_POSTGRES_URL": "postgresql://db:5432/cafeteria"}) == {}


def test_without_a_running_stack_the_sentence_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(StackError, match="just up"):
        variables_for(TOOL, DataDirectory(root=tmp_path), {})
