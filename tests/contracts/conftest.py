"""Fixtures for the tests of the whole workspace: its files, its golden examples, and services that really run."""

import re
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from jsonschema import Draft202012Validator

from cafeteria.chassis.process import serving
from cafeteria.chassis.runtime.settings import ServiceSettings
from cafeteria.contracts import subjects, values
from cafeteria.local_stack.api_documents import api_documents, create_app_of, settings_type_of
from cafeteria.local_stack.api_documents import built as build_app_of
from cafeteria.provisioning.plain_http import plain_http
from cafeteria.testkit.plugin import in_own_task, until

READY_TIMEOUT_S = 20.0
FIRST = {subjects.IDENTITY, subjects.STOCK}
"""The others are ready at once when these answer: they need keys, and the gateway waits for the items."""
ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "packages/shared-contracts/examples"

Start = Callable[..., Awaitable[str]]


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository's folder."""
    return ROOT


@pytest.fixture(scope="session")
def project_files() -> list[Path]:
    """Every file that is or would be committed, the lock aside, which names registries by its nature."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    paths = (ROOT / name for name in listed.stdout.split("\0") if name and name != "uv.lock")
    return [path for path in paths if path.is_file()]


@pytest.fixture(scope="session")
def golden() -> Callable[[type[msgspec.Struct]], dict[str, bytes]]:
    """The golden examples of a message by their variant; the first one's variant is empty."""
    return examples_of


def examples_of(message: type[msgspec.Struct]) -> dict[str, bytes]:
    folder = EXAMPLES / message.__module__.rpartition(".")[2]
    paths = sorted(folder.glob(f"{message.__name__}.json")) + sorted(
        folder.glob(f"{message.__name__}.*.json")
    )
    return {path.name.split(".")[1].removesuffix("json"): path.read_bytes().strip() for path in paths}


class Published:
    """The published OpenAPI documents, to check real requests and answers against."""

    def __init__(self, documents: dict[str, dict[str, Any]]) -> None:
        self.documents = documents

    def faults(self, service: str, schema: dict[str, Any], value: Any) -> list[str]:
        """The errors of a JSON value against a schema of the service's document."""
        whole = {**schema, "components": self.documents[service]["components"]}
        validator = Draft202012Validator(whole, format_checker=Draft202012Validator.FORMAT_CHECKER)
        return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(value)]

    def operation(self, service: str, method: str, path: str) -> dict[str, Any]:
        paths = self.documents[service]["paths"]
        [template] = [each for each in paths if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", each), path)]
        operation: dict[str, Any] = paths[template][method.lower()]
        return operation

    def body_schema(self, service: str, method: str, path: str) -> dict[str, Any]:
        body = self.operation(service, method, path)["requestBody"]
        schema: dict[str, Any] = body["content"]["application/json"]["schema"]
        return schema

    def hold(self, service: str, answer: httpx.Response) -> None:
        """Fail unless the operation documents the answer, and its schema the request if that succeeded."""
        request = answer.request
        operation = self.operation(service, request.method, request.url.path)
        assert str(answer.status_code) in operation["responses"], f"{answer}: {answer.text}"
        named = operation["responses"][str(answer.status_code)]
        media_type = answer.headers.get("content-type", "").partition(";")[0]
        assert media_type in named.get("content", {"": None})
        if media_type.endswith("json"):
            assert self.faults(service, named["content"][media_type]["schema"], answer.json()) == []
        headers = named.get("headers", {}).items()
        assert [name for name, each in headers if each.get("required") and name not in answer.headers] == []
        if answer.is_success and request.content:
            schema = self.body_schema(service, request.method, request.url.path)
            assert self.faults(service, schema, msgspec.json.decode(request.content)) == []


@pytest.fixture(scope="session")
def published() -> Published:
    return Published(api_documents())


@pytest.fixture
async def start(clean: None, service_settings: Any, serve: Any) -> AsyncIterator[Start]:
    """Called with a service's name, and settings to override, it returns the URL of one that is ready."""
    async with AsyncExitStack() as stack:

        async def start_one(service: str, **overrides: Any) -> str:
            settings = service_settings(service, settings_type_of(service), **overrides)
            return await stack.enter_async_context(running(service, settings, serve))

        yield start_one


@asynccontextmanager
async def running(service: str, settings: Any, serve: Any) -> AsyncIterator[str]:
    """The service behind real HTTP, once it is ready."""
    async with (
        serve(create_app_of(service)(settings)) as url,
        plain_http(base_url=url, timeout_s=READY_TIMEOUT_S) as client,
    ):

        async def is_ready() -> bool:
            return (await client.get("/health/ready")).status_code == httpx.codes.OK

        await until(is_ready, timeout_s=READY_TIMEOUT_S)
        yield url


@pytest.fixture
def built() -> Callable[[str], Any]:
    """Compose a service's app by the service's name, without opening a connection."""
    return build_app_of


@pytest.fixture
def own_settings() -> Callable[[str], set[str]]:
    """The variables that only this service reads, not every service."""

    def variables(service: str) -> set[str]:
        own, of_every_service = (
            {field.encode_name for field in msgspec.structs.fields(kind)}
            for kind in (settings_type_of(service), ServiceSettings)
        )
        return own - of_every_service

    return variables


@pytest.fixture(scope="module")
async def all_services(servers: Any) -> AsyncIterator[dict[str, str]]:
    """The URL of each service; the databases and streams are empty when the module starts."""
    await servers.clean()
    async with servers.without_identity(), AsyncExitStack() as stack:
        urls = {
            service: await stack.enter_async_context(
                running(
                    service,
                    servers.settings(service, settings_type_of(service)),
                    lambda app: in_own_task(serving(app)),
                )
            )
            for service in sorted(subjects.SERVICES, key=lambda each: each not in FIRST)
        }
        yield urls


@pytest.fixture
def add_items(servers: Any) -> Callable[..., Awaitable[None]]:
    """Add the items of a golden order to stock, with so many portions of each."""

    async def put(lines: tuple[values.Line, ...], *, quantity: int = 100) -> None:
        async with servers.database_as_admin() as connection, connection.transaction():
            for line in lines:
                await connection.execute(_NEW_ITEM, line.item_id, f"Dish {line.item_id}")
                await connection.execute(_NEW_STOCK, line.item_id, quantity)

    return put


_NEW_ITEM = "INSERT INTO stock.items (id, name, price, created_at) VALUES ($1, $2, 12.50, now())"
_NEW_STOCK = """
WITH first_stock AS (
    INSERT INTO stock.inventory (id, item_id, quantity, version, updated_at) VALUES ($1, $1, $2, 1, now())
)
INSERT INTO stock.restocks (id, item_id, quantity, actor, created_at) VALUES ($1, $1, $2, 'operator-1', now())
"""
