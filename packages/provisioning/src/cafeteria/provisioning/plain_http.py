"""An HTTP client for servers on this machine: it uses no proxy and loads no certificates."""

from typing import Any

import httpx


def plain_http(*, timeout_s: float, **options: Any) -> httpx.AsyncClient:
    return httpx.AsyncClient(trust_env=False, timeout=timeout_s, verify=False, **options)  # noqa: S501 - these servers have no TLS, and loading certificates takes 50 ms
