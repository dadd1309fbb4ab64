"""An HTTP client for this machine: no proxy, no certificates to load."""

from typing import Any

import httpx


def plain_http(*, timeout_s: float, **options: Any) -> httpx.AsyncClient:
    return httpx.AsyncClient(trust_env=False, timeout=timeout_s, verify=False, **options)  # noqa: S501 - nothing here speaks TLS, and loading certificates takes 50 ms
