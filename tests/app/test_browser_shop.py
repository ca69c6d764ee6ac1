"""The shop in a real browser (Debian's Chromium), served as `make shop` does, from the first page to the tables."""

from __future__ import annotations

import re
import shutil
import time
import urllib.parse
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from deltalake import DeltaTable
from pyspark.sql import SparkSession

from expectations.events import EVENTS
from jobs.ingest import shop_events
from jobs.platform.job import Job
from jobs.platform.settings import Settings
from tests.app.conftest import ARTICLE_IDS, CUSTOMER_IDS, HOSTILE, HOSTILE_NAME
from tests.app.people import PASSWORD, link_in, mails_in
from tests.app.serving import Served, serving

CHROMIUM = shutil.which("chromium")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium: apt install chromium")
STAFF = "staff@example.org"


@pytest.fixture(scope="module")
def served(retailer: Path) -> Iterator[Served]:
    """One server for all of these tests, with a member of staff."""
    with serving(retailer, retailer / "served", ATELIER_SHOP_EVENT_SECONDS="1") as shop:
        shop.command("createsuperuser", "--noinput", "--email", STAFF)
        yield shop


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


@pytest.fixture
def visit(chromium: Any, served: Served) -> Iterator[Any]:
    """Opens a page as somebody new; whatever the pages ask of others than the shop, or complain of, fails the test."""
    contexts, problems = [], list[str]()

    def new(**options: Any) -> Any:
        context = chromium.new_context(base_url=served.url, **options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(15_000)
        page.on("request", lambda r: None if r.url.startswith(served.url) else problems.append(f"asked {r.url}"))
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("dialog", lambda dialog: (problems.append(f"a dialog: {dialog.message}"), dialog.dismiss()))
        page.on("console", lambda m: problems.append(m.text) if "Content Security Policy" in m.text else None)
        return page

    yield new
    for context in contexts:
        context.close()
    assert not problems


def fill(page: Any, **values: str) -> None:
    for name, value in values.items():
        page.locator(f"main [name={name}]").fill(value)


def press(page: Any, button: str) -> None:
    page.locator("main").get_by_role("button", name=button, exact=True).first.click()
    page.wait_for_load_state()


def sign_up(page: Any, served: Served, address: str) -> None:
    page.goto("/account/sign-up/")
    fill(page, email=address, password=PASSWORD)
    press(page, "Sign up")
    assert page.locator("h1").inner_text() == "Look at your mail"
    deadline = time.monotonic() + 10
    while not (found := mails_in(served.home, address)):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    page.goto(link_in(found[-1]))
    fill(page, password=PASSWORD)
    press(page, "Finish")
    assert "Your account is ready" in page.content()


def log_in(page: Any, address: str, password: str = PASSWORD) -> None:
    page.goto("/account/login/")
    fill(page, username=address, password=password)
    press(page, "Log in")


def link(page: Any, address: str, customer_id: str) -> None:
    """As a member of staff."""
    log_in(page, STAFF)
    page.goto("/account/staff/link/")
    fill(page, email=address, customer_id=customer_id)
    press(page, "Link")
    assert f"is customer {customer_id} now" in page.content()


def test_from_the_first_page_to_the_tables(visit: Any, served: Served, spark: SparkSession) -> None:
    page, address, customer_id = visit(), "walker@example.org", CUSTOMER_IDS[2]
    page.goto("/")
    assert page.locator(".card").count() == 24
    page.get_by_role("searchbox").fill("sweater blue")
    page.get_by_role("searchbox").press("Enter")
    page.wait_for_load_state()
    page.locator(".card a").first.click()
    page.wait_for_load_state()
    bought = page.url.split("/article/")[1].split("/")[0]
    page.goto(f"/article/{ARTICLE_IDS[1]}/")
    assert "17 customers bought both" in page.content()
    page.get_by_label("Alike by").select_option("minilm")
    page.wait_for_url(re.compile("similar=minilm"))
    page.goto(f"/article/{bought}/")
    fill(page, quantity="2")
    press(page, "Put in the basket")
    assert page.locator("nav").get_by_role("link", name="Basket (2)").count() == 1
    sign_up(page, served, address)
    link(visit(), address, customer_id)
    page.goto("/for-you/")
    assert page.locator(".card").count() == 12 and "Because you like" in page.content()
    page.goto("/search/")
    page.locator("main input[type=file]").set_input_files({"name": "p.png", "mimeType": "image/png", "buffer": _png()})
    page.get_by_role("button", name="Find alike").click(no_wait_after=True)
    page.wait_for_url("**/search/picture/", timeout=120_000)  # it may have to wake up first
    assert page.locator("h1").inner_text() in ("Like your picture", "Search")
    page.goto("/checkout/")
    press(page, "Place the order")
    assert page.locator("h1").inner_text() == "Thank you"
    _assert_ingested(served, spark, customer_id, bought)


def _png() -> bytes:
    from io import BytesIO

    from PIL import Image

    out = BytesIO()
    Image.new("RGB", (90, 120), "red").save(out, "PNG")
    return out.getvalue()


def _assert_ingested(served: Served, spark: SparkSession, customer_id: str, bought: str) -> None:
    """The visit's events are in silver/events once their files have their names, a second or so after the last."""
    deadline = time.monotonic() + 20
    while list((served.data / "events").glob(".shop_*.open")):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    warehouse = served.data / "warehouse"
    settings = Settings(as_of_date=date(2020, 9, 23), data=served.data, warehouse=str(warehouse))
    said = shop_events.main(Job("ingest.shop_events", settings, shop_events.READS, shop_events.WRITES))
    assert "0 in quarantine" in said
    events = pl.DataFrame(pl.from_arrow(DeltaTable(str(warehouse / EVENTS.path)).to_pyarrow_table()))
    mine = events.filter(pl.col("customer_id") == customer_id)
    assert {"impression", "purchase"} <= set(mine["event_type"])
    assert mine.filter(pl.col("event_type") == "purchase").select("article_id", "quantity").rows() == [(bought, 2)]
    before = events.filter(pl.col("visitor_id") == mine["visitor_id"][0], pl.col("customer_id").is_null())
    assert {"click", "view", "cart"} <= set(before["event_type"])
    click = before.filter(pl.col("event_type") == "click").row(0, named=True)
    assert (click["article_id"], click["list"]) == (bought, "search")


def test_wrong_passwords_and_lock_out(visit: Any, served: Served) -> None:
    page = visit()
    sign_up(page, served, "locked@example.org")
    page.goto("/account/")
    press(page, "Log out")
    assert page.get_by_role("link", name="Log in").count() == 1
    for _ in range(4):
        log_in(page, "locked@example.org", "wrong-words-entirely")
        assert "not an account" in page.locator("main").inner_text()
    log_in(page, "locked@example.org", "wrong-words-entirely")
    assert page.locator("h1").inner_text() == "Too many attempts"
    log_in(page, "locked@example.org")
    assert page.locator("h1").inner_text() == "Too many attempts"


def test_what_articles_are_called_is_never_run(visit: Any) -> None:
    """The `visit` fixture fails where a dialog opens, or the policy had to stop a script."""
    page = visit()
    page.goto(f"/article/{HOSTILE}/")
    assert page.locator("h1").inner_text() == HOSTILE_NAME
    assert page.locator("main img[src=x], main script").count() == 0
    press(page, "Put in the basket")
    assert HOSTILE_NAME in page.locator(".messages").inner_text()
    assert page.locator("main img[src=x], main script").count() == 0
    page.goto("/search/?q=" + urllib.parse.quote(HOSTILE_NAME))
    assert page.locator("main script").count() == 0


def test_a_phone_and_everybody_can_use_every_page(visit: Any, served: Served) -> None:
    """360 pixels wide: nothing sticks out. And axe finds nothing serious, on the phone and on a desk."""
    from axe_playwright_python.sync_playwright import Axe

    phone = visit(viewport={"width": 360, "height": 740}, is_mobile=True, has_touch=True, bypass_csp=True)
    public = ["/", f"/article/{ARTICLE_IDS[0]}/", f"/article/{HOSTILE}/", "/search/?q=red", "/for-you/", "/basket/"]
    public += ["/wishes/", "/account/login/", "/account/sign-up/", "/account/check-mail/", "/account/reset/", "/nope/"]
    found: list[str] = []

    def look(path: str) -> None:
        phone.goto(path)
        if (width := phone.evaluate("document.documentElement.scrollWidth")) > 360:
            found.append(f"{path}: {width} pixels wide")
        for violation in Axe().run(phone).response["violations"]:
            if violation["impact"] in ("serious", "critical"):
                found.append(f"{path}: {violation['id']}: {violation['nodes'][0]['html'][:150]}")

    for path in public:
        look(path)
    sign_up(phone, served, "phone@example.org")
    phone.goto(f"/article/{ARTICLE_IDS[0]}/")
    press(phone, "Put on the wish list")
    press(phone, "Put in the basket")
    for path in (
        "/basket/",
        "/wishes/",
        "/checkout/",
        "/account/",
        "/account/password/",
        "/account/delete/",
        "/orders/",
    ):
        look(path)
    log_in(phone, STAFF)
    for path in ("/account/staff/link/", f"/staff/customer/?customer={CUSTOMER_IDS[0]}", "/staff/performance/"):
        look(path)
    assert found == []


def test_the_keyboard_gets_everywhere(visit: Any) -> None:
    page = visit()
    page.goto("/")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    for _ in range(60):
        page.keyboard.press("Tab")
        if page.evaluate("!!document.activeElement.closest('.card')"):
            break
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") != "none"
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile("/article/"))


def test_the_policy_stops_a_script_that_got_in(chromium: Any, served: Served) -> None:
    """Not only do templates escape: were something forgotten, the browser would not run it."""
    context = chromium.new_context(base_url=served.url)
    page = context.new_page()
    page.goto("/")
    ran = page.evaluate(
        """() => new Promise(resolve => {
            const script = document.createElement('script');
            script.textContent = 'window.ran = true';
            document.body.append(script);
            const image = document.createElement('img');
            image.setAttribute('onerror', 'window.ran = true');
            image.src = 'data:x';
            document.body.append(image);
            setTimeout(() => resolve(window.ran === true), 300);
        })"""
    )
    context.close()
    assert not ran
