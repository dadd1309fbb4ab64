"""Prepares and starts the embedded NATS server: JetStream on files, listening on 127.0.0.1 only."""

import os
import shutil
from pathlib import Path

import httpx

from cafeteria.local_stack import ports
from cafeteria.local_stack.binaries import nats_server
from cafeteria.local_stack.child import Program
from cafeteria.local_stack.data_directory import DataDirectory
from cafeteria.provisioning.credentials import ADMIN, Credentials
from cafeteria.provisioning.nats_config import NatsPlan, render
from cafeteria.provisioning.plain_http import plain_http
from cafeteria.provisioning.private_files import write_private

STORE_OF_VERSION_0_1 = "jetstream/$G"


class NatsServer:
    """The configuration, store and start command of one server."""

    def __init__(
        self,
        *,
        home: DataDirectory,
        credentials: Credentials,
        port: int,
        monitor_port: int,
        stream_max_bytes: int,
    ) -> None:
        self.port = port
        self.monitor_port = monitor_port
        self._stream_max_bytes = stream_max_bytes
        self._home = home
        self._credentials = credentials

    @property
    def address(self) -> str:
        """The URL for services, without credentials."""
        return f"nats://{ports.HOST}:{self.port}"

    @property
    def admin_url(self) -> str:
        return f"nats://{ADMIN}:{self._credentials.nats_password(ADMIN)}@{ports.HOST}:{self.port}"

    @property
    def monitor_url(self) -> str:
        return f"http://{ports.HOST}:{self.monitor_port}"

    @property
    def store(self) -> Path:
        return self._home.nats / "store"

    def prepare(self) -> None:
        self._remove_store_of_version_0_1()
        plan = NatsPlan(
            host=ports.HOST,
            port=self.port,
            monitor_port=self.monitor_port,
            store=self.store,
            stream_max_bytes=self._stream_max_bytes,
            password_of=self._credentials.nats_password,
        )
        write_private(self._config, render(plan))

    def _remove_store_of_version_0_1(self) -> None:
        """Remove the streams of version 0.1, with which the server reports that it is not healthy.

        They are in the server's default account. The services publish undelivered messages again.
        """
        if (first := self.store / STORE_OF_VERSION_0_1).is_dir():
            shutil.rmtree(first)

    def program(self) -> Program:
        return Program(
            argv=(nats_server(), "--config", str(self._config)),
            env={"PATH": os.defpath, "TZ": "UTC"},
            own_group=True,
        )

    async def is_ready(self) -> bool:
        """Whether JetStream is ready."""
        async with plain_http(timeout_s=1) as client:
            try:
                answer = await client.get(f"{self.monitor_url}/healthz")
            except httpx.HTTPError:
                return False
        return answer.status_code == httpx.codes.OK

    def wipe(self) -> None:
        """Remove the store. The server must not run."""
        shutil.rmtree(self.store, ignore_errors=True)

    @property
    def _config(self) -> Path:
        return self._home.nats / "nats.conf"
