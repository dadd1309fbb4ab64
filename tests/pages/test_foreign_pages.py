"""What other pages can do to a student who is signed in: nothing. And what a script of the pages could steal: no token.

A page on another port of the same host is the strongest stranger: cookies do not look at ports, so they ride along.
"""

from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import pytest
from aiohttp import web
from playwright.async_api import BrowserContext, Error, Page

from cafeteria.testkit.plugin import until

ORDERS_OF = "SELECT count(*) = $2 FROM gateway.orders WHERE student_id = $1"
REFUSED = {403, 415}

SEND = """async ({url, method, type, body, mode}) => {
    const headers = type ? {"Content-Type": type, "Idempotency-Key": "foreign"} : {};
    try {
        const answer = await fetch(url, {method, headers, body, mode, credentials: "include"});
        return {type: answer.type, status: answer.status, text: await answer.text()};
    } catch (error) {
        return {type: "refused", status: 0, text: ""};
    }
}"""
POST_A_FORM = """({url, body}) => {
    const form = document.createElement("form");
    form.method = "post"; form.action = url; form.enctype = "text/plain"; form.target = "out";
    const field = document.createElement("input");
    field.name = body; field.value = "";
    form.append(field); document.body.append(form); form.submit();
}"""
STORED = """async () => {
    const databases = await indexedDB.databases();
    const rows = [];
    for (const {name} of databases) {
        const database = await new Promise((done) => { const asked = indexedDB.open(name); asked.onsuccess = () => done(asked.result); });
        for (const store of database.objectStoreNames) {
            const asked = database.transaction(store).objectStore(store).getAll();
            rows.push(...await new Promise((done) => { asked.onsuccess = () => done(asked.result); }));
        }
        database.close();
    }
    return JSON.stringify([document.cookie, {...localStorage}, {...sessionStorage}, rows, location.href, history.state]);
}"""


@pytest.fixture(scope="module")
async def foreign_url() -> AsyncIterator[str]:
    """The address of an empty page on another port of the pages' own host."""

    async def page(_request: web.Request) -> web.Response:
        return web.Response(
            text="<!doctype html><title>Win a prize</title><iframe name=out></iframe>",
            content_type="text/html",
        )

    app = web.Application()
    app.router.add_get("/", page)
    runner = web.AppRunner(app)
    await runner.setup()
    listening = web.TCPSite(runner, "127.0.0.1", 0)
    await listening.start()
    port = runner.addresses[0][1]
    yield f"http://localhost:{port}/"
    await runner.cleanup()


@pytest.fixture
async def victim(browser, site, student_id: str) -> AsyncIterator[BrowserContext]:
    """A browser in which a student is signed in."""
    async with await browser.new_context() as context:
        await site.sign_in(context, student_id)
        yield context


@pytest.fixture
async def foreign_page(victim: BrowserContext, foreign_url: str) -> Page:
    page = await victim.new_page()
    await page.goto(foreign_url)
    return page


async def assert_nothing_changed(site, victim: BrowserContext, student_id: str) -> None:
    answer = await victim.request.get(f"{site.url}/v1/me")
    assert (await answer.json())["student_id"] == student_id
    await site.until_true(ORDERS_OF, student_id, 0, timeout_s=0)


def order_body(item_id: Any) -> str:
    return f'{{"lines":[{{"item_id":"{item_id}","quantity":1}}]}}'


@pytest.mark.parametrize("mode", ["cors", "no-cors"])
@pytest.mark.parametrize("path", ["/v1/orders", "/v1/logout", "/v1/token/refresh", "/v1/login"])
async def test_a_foreign_script_changes_nothing_and_reads_nothing(
    site, victim, foreign_page, student_id: str, mode: str, path: str
) -> None:
    item = await site.dish(3)
    body = order_body(item.id) if path == "/v1/orders" else '{"cookie":true}'
    sent = {"url": f"{site.url}{path}", "method": "POST", "body": body, "mode": mode}
    for type_ in ("application/json", "text/plain", ""):
        answer = await foreign_page.evaluate(SEND, {**sent, "type": type_})
        assert answer["text"] == ""
        assert answer["type"] in {"refused", "opaque"}
    await assert_nothing_changed(site, victim, student_id)


async def test_a_foreign_script_reads_no_answer(site, foreign_page) -> None:
    for path in ("/v1/me", "/v1/orders", "/", "/v1/events"):
        answer = await foreign_page.evaluate(
            SEND, {"url": f"{site.url}{path}", "method": "GET", "mode": "cors"}
        )
        assert answer == {"type": "refused", "status": 0, "text": ""}, path


async def test_a_foreign_form_orders_nothing(site, victim, foreign_page, student_id: str) -> None:
    """A form can send JSON as text: the refusal is a problem document in the frame."""
    item = await site.dish(3)
    url = f"{site.url}/v1/orders"
    async with foreign_page.expect_response(url) as answered:
        await foreign_page.evaluate(POST_A_FORM, {"url": url, "body": order_body(item.id)})
    assert (await answered.value).status in REFUSED
    await assert_nothing_changed(site, victim, student_id)


@pytest.mark.parametrize("path", ["/", "/kitchen", "/board", "/ops"])
async def test_no_page_can_be_framed(site, foreign_page, path: str) -> None:
    """The frame shows the browser's own error page, whose address is not that of the page."""
    await foreign_page.evaluate(
        "(url) => { document.querySelector('iframe').src = url; }", f"{site.url}{path}"
    )
    await until(lambda: foreign_page.frames[1].url.startswith("chrome-error://"))


async def test_no_script_can_read_a_token(site, open_page, student_id: str) -> None:
    """Not in cookies, storage, addresses, nor in any answer that a page gets."""
    page = await open_page("/", signed_in_as=student_id)
    bodies: list[bytes] = []

    async def keep(response: Any) -> None:
        if "/v1/" in response.url and "text/event-stream" not in response.headers.get("content-type", ""):
            with suppress(Error):  # the page went away before it had read it
                bodies.append(await response.body())

    page.context.on("response", keep)
    before = {cookie["value"] for cookie in await page.context.cookies()}
    renewed = await page.evaluate(
        "() => fetch('/v1/token/refresh', {method: 'POST', headers: {'Content-Type': 'application/json'},"
        " body: JSON.stringify({cookie: true, tokens: false})}).then((answer) => answer.status)"
    )
    await page.reload()
    await until(lambda: any(b"student_id" in body for body in bodies))
    cookies = await page.context.cookies()
    secrets = before | {cookie["value"] for cookie in cookies if cookie["name"] != "lang"}
    stored = await page.evaluate(STORED)
    assert renewed == 200
    assert all(
        cookie["httpOnly"] and cookie["sameSite"] == "Lax" for cookie in cookies if cookie["name"] != "lang"
    )
    assert [
        secret for secret in secrets if secret in stored or any(secret.encode() in body for body in bodies)
    ] == []
