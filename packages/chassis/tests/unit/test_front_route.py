"""`GET /` leads on: to the pages where a setting names them, or else to the description of the API."""

import socket

import httpx
import pytest

from cafeteria.chassis.app import ServiceApp, build_app
from cafeteria.chassis.process import serving
from cafeteria.chassis.runtime.settings import ServiceSettings, SettingsError, load_settings
from cafeteria.contracts.subjects import STOCK

PAGES = "http://localhost:8080/"


def app_with(environ: dict[str, str], **settings: str) -> ServiceApp:
    loaded = load_settings(ServiceSettings, {**environ, **settings})
    return build_app(service=STOCK, settings=loaded, route_handlers=[], checks={})


async def front_of(app: ServiceApp, method: str = "GET") -> httpx.Response:
    async with serving(app) as url, httpx.AsyncClient(base_url=url) as client:
        return await client.request(method, "/")


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_it_leads_to_the_pages(environ: dict[str, str], method: str) -> None:
    answer = await front_of(app_with(environ, CAFETERIA_PAGES_URL=PAGES), method)
    assert (answer.status_code, answer.headers["location"], answer.content) == (303, PAGES, b"")


async def test_without_pages_it_leads_to_the_description_of_the_api(environ: dict[str, str]) -> None:
    app = app_with(environ, CAFETERIA_PAGES_URL="")
    async with (
        serving(app) as url,
        httpx.AsyncClient(base_url=url, follow_redirects=True) as client,
    ):
        answer = await client.get("/")
        assert (answer.url.path, answer.status_code) == ("/schema", 200)
        described = answer.json()["paths"]["/"]["get"]["responses"]["303"]
        assert "Location" in described["headers"]


async def test_nobody_is_led_to_a_description_that_is_elsewhere(environ: dict[str, str]) -> None:
    """With an internal port only the pages are reachable from the public one."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        port = str(found.getsockname()[1])
    assert (await front_of(app_with(environ, CAFETERIA_INTERNAL_PORT=port))).status_code == 404
    both = {"CAFETERIA_INTERNAL_PORT": port, "CAFETERIA_PAGES_URL": PAGES}
    assert (await front_of(app_with(environ, **both))).headers["location"] == PAGES


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
async def test_nothing_can_be_changed_there(environ: dict[str, str], method: str) -> None:
    answer = await front_of(app_with(environ), method)
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD, OPTIONS")


@pytest.mark.parametrize(
    "url",
    [
        "https://canteen.example",
        "http://localhost:8080/kitchen?a=b#line",
        "http://[::1]:8080",
        "http://kitchen.localhost:8080/",
    ],
)
def test_the_address_may_be_any_of_a_page(environ: dict[str, str], url: str) -> None:
    assert load_settings(ServiceSettings, {**environ, "CAFETERIA_PAGES_URL": url}).pages_url == url


@pytest.mark.parametrize(
    "url",
    [
        "canteen.example",
        "//canteen.example",
        "/pages",
        "javascript:alert(1)",
        "ftp://canteen.example",
        "https://",
        "https://user:hidden@canteen.example",
        "https://canteen.example:0",
        "https://canteen.example:99999",
        "https://canteen.example/a b",
        "https://canteen.example/\r\nSet-Cookie: a=b",
        "https://ক্যান্টিন.example",
        "https://canteen.example/মেনু",
    ],
)
def test_any_other_text_ends_the_start_with_a_sentence(environ: dict[str, str], url: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings(ServiceSettings, {**environ, "CAFETERIA_PAGES_URL": url})
    [sentence] = caught.value.sentences
    assert sentence.startswith("CAFETERIA_PAGES_URL must be a URL like https://")
    assert "hidden" not in sentence
