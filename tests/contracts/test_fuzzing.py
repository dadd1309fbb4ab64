"""A short round of what `just fuzz` does at length: no service answers anything that its document does not name."""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from cafeteria.contracts import subjects
from cafeteria.contracts.values import Role

TIMEOUT_S = 300.0  # about 30 s where the machine is free
FUZZ = Path(__file__).parents[1] / "fuzz"


@pytest.fixture
async def a_student(all_services: dict[str, str], tokens: Any) -> None:
    """The account of the token: without it, identity could not answer about the student."""
    body = {"student_id": "210041101", "password": "iftar-rush-2026"}
    async with httpx.AsyncClient(base_url=all_services[subjects.IDENTITY]) as client:
        answer = await client.post("/v1/students", json=body, headers=tokens.header(tokens.operator()))
    assert answer.status_code == httpx.codes.CREATED, answer.text


@pytest.mark.timeout(TIMEOUT_S + 60)
async def test_every_answer_is_one_that_the_document_names(
    all_services: dict[str, str], a_student: None, tokens: Any
) -> None:
    signed = {
        Role.STUDENT: tokens.student(),
        Role.KITCHEN: tokens.kitchen(),
        Role.OPERATOR: tokens.operator(),
    }
    request = json.dumps({"urls": all_services, "tokens": signed}).encode()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(FUZZ), "--against", "-"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        printed, _ = await asyncio.wait_for(process.communicate(request), TIMEOUT_S)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    print(printed.decode())  # noqa: T201 - the report of a failed test
    assert process.returncode == 0
