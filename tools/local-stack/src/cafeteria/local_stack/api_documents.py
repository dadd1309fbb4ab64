"""`python -m cafeteria.local_stack.api_documents FOLDER`: writes each service's OpenAPI document and starts no service.

The documents equal those that a running service serves under `/schema/openapi.json`.
"""

import inspect
import sys
import tempfile
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import msgspec

from cafeteria.chassis.app import ServiceApp
from cafeteria.chassis.http.openapi import published_document
from cafeteria.chassis.runtime.settings import ServiceSettings, load_settings
from cafeteria.contracts.subjects import SERVICES
from cafeteria.provisioning.credentials import Credentials


def api_documents() -> dict[str, dict[str, Any]]:
    """Return the OpenAPI document of each service, by service."""
    return {service: published_document(built(service)) for service in SERVICES}


def built(service: str) -> ServiceApp:
    """Build a service's app with settings that reach no server, and a signing key that is deleted."""
    with tempfile.TemporaryDirectory() as folder:
        environ = {
            "CAFETERIA_POSTGRES_URL": "postgresql://127.0.0.1:1/cafeteria",
            "CAFETERIA_POSTGRES_PASSWORD": "unused",
            "CAFETERIA_NATS_URL": "nats://127.0.0.1:1",
            "CAFETERIA_NATS_PASSWORD": "unused",
            "IDENTITY_SIGNING_KEY_FILE": str(Credentials.ensure(Path(folder) / "secrets").signing_key_file),
        }
        return create_app_of(service)(load_settings(settings_type_of(service), environ))


def create_app_of(service: str) -> Callable[[Any], ServiceApp]:
    """Return the function that builds the service's app from its settings."""
    create_app: Callable[[Any], ServiceApp] = import_module(f"cafeteria.{service}.app").create_app
    return create_app


def settings_type_of(service: str) -> type[ServiceSettings]:
    """Return the type of the settings that `create_app_of(service)` takes."""
    parameters = inspect.signature(create_app_of(service)).parameters
    settings_type: type[ServiceSettings] = next(iter(parameters.values())).annotation
    return settings_type


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for service, document in api_documents().items():
        (folder / f"{service}.json").write_bytes(msgspec.json.format(msgspec.json.encode(document)))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
