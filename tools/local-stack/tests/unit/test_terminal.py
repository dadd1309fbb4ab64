"""What a running stack prints for a person."""

from importlib.metadata import metadata

import pytest

from cafeteria.contracts.subjects import SERVICES
from cafeteria.local_stack.edge import BOARD, page_addresses
from cafeteria.local_stack.terminal import Terminal
from cafeteria.provisioning import demo_data


def test_every_service_has_a_line_with_its_address_and_what_it_is_for(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Terminal().show_addresses(lambda service: f"http://{service}.example", pages={})
    lines = capsys.readouterr().out.splitlines()
    for service in SERVICES:
        [line] = [each for each in lines if f"http://{service}.example " in each]
        assert metadata(f"cafeteria-{service}")["Summary"] in line


PAGES = page_addresses("127.0.0.1", 8080)


def test_the_addresses_of_people_come_first_with_the_account_of_each(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Terminal().show_addresses(lambda service: f"http://{service}.example", pages=PAGES)
    output = capsys.readouterr().out
    lines = output.splitlines()
    signed_in = (f"{demo_data.STUDENTS[0]} to", demo_data.KITCHEN, demo_data.OPERATOR, "nobody")
    for address, account in zip(PAGES.values(), signed_in, strict=True):
        [line] = [each for each in lines if f" {address} " in each]
        assert account in line
    assert output.index(PAGES[BOARD]) < output.index("http://gateway.example")
    assert output.count(demo_data.PASSWORD) == 1


def test_without_demo_accounts_no_account_and_no_password_is_shown(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Terminal().show_addresses(lambda service: f"http://{service}.example", pages=PAGES, with_accounts=False)
    output = capsys.readouterr().out
    assert PAGES[BOARD] in output
    assert demo_data.OPERATOR not in output
    assert demo_data.PASSWORD not in output
