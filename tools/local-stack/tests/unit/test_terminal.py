"""What a running stack prints for a person."""

from importlib.metadata import metadata

import pytest

from cafeteria.contracts.subjects import SERVICES
from cafeteria.local_stack.terminal import Terminal


def test_every_service_has_a_line_with_its_address_and_what_it_is_for(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Terminal().show_addresses(lambda service: f"http://{service}.example")
    lines = capsys.readouterr().out.splitlines()
    for service in SERVICES:
        [line] = [each for each in lines if f"http://{service}.example " in each]
        assert metadata(f"cafeteria-{service}")["Summary"] in line
