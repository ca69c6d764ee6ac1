"""What somebody scripts against the shop: forged forms, redirects, hosts, methods, and what pages tell a browser."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.app.conftest import ARTICLE_IDS
from tests.app.people import PASSWORD, log_in, mails, new_address, page, sign_up, staff, visitor

ROOT = Path(__file__).resolve().parents[2]
#: Answers to what may be asked without an account, whatever their status.
PAGES = (
    *("/", f"/article/{ARTICLE_IDS[0]}/", "/search/", "/for-you/", "/basket/", "/wishes/", "/account/login/"),
    *("/account/sign-up/", "/account/reset/", "/account/", "/checkout/", "/orders/", "/nope", "/health"),
    *("/account/logout/", "/static/shop/shop.css", f"/picture/card/{ARTICLE_IDS[0]}"),
)


def paths() -> Iterator[str]:
    """Every address of the shop, with something in each of its gaps."""
    from app.config.urls import urlpatterns

    fillings = {
        "article_id": ARTICLE_IDS[0], "size": "card", "token": "t", "uidb64": "MQ", "system": "als",
        "order_id": "00000000-0000-0000-0000-000000000000",
    }  # fmt: skip
    for include in urlpatterns:
        for pattern in include.url_patterns:
            route = str(include.pattern) + str(pattern.pattern)
            yield "/" + re.sub(r"<\w+:(\w+)>", lambda gap: fillings[gap[1]], route)


def test_no_form_is_taken_without_its_token(shop: Path) -> None:
    """Every address, as nobody and as staff: a POST that another site makes a browser send does nothing."""
    member = staff()
    for cookies in ({}, member.cookies):
        attacker = visitor(enforce_csrf_checks=True)
        for name, value in dict(cookies).items():
            attacker.cookies[name] = value.value
        tried = 0
        for path in paths():
            answer = attacker.post(path, {"article_id": ARTICLE_IDS[0], "email": "a@example.org"})
            assert answer.status_code in (403, 405), path
            tried += answer.status_code == 403
        assert tried >= 12
        assert attacker.post("/basket/add/", headers={"Origin": "https://evil.example"}).status_code == 403
    assert member.get("/account/").status_code == 200


@pytest.mark.parametrize(
    "evil",
    [
        *("https://evil.example/", "//evil.example", "///evil.example", "\\\\evil.example", "/\\evil.example"),
        *(
            "javascript:alert(1)",
            "http:evil.example",
            "https:///evil.example",
            "\x08//evil.example",
            "/\t/evil.example",
        ),
        *("http://testserver@evil.example/", "//testserver.evil.example"),
    ],
)
def test_nobody_is_sent_elsewhere(shop: Path, evil: str) -> None:
    _, address = sign_up(shop)
    browser = visitor()
    answers = [
        browser.post("/account/login/?next=" + evil, {"username": address, "password": PASSWORD, "next": evil}),
        browser.post("/basket/add/", {"article_id": ARTICLE_IDS[0], "next": evil}),
        browser.post("/wishes/add/", {"article_id": ARTICLE_IDS[0], "next": evil}),
        browser.post("/wishes/remove/", {"article_id": ARTICLE_IDS[0], "next": evil}),
        browser.post("/account/logout/?next=" + evil, {"next": evil}),
    ]
    for answer in answers:
        assert answer.status_code == 302
        assert "evil" not in answer.url and answer.url.startswith("/") and not answer.url.startswith("//")


def test_the_way_back_within_the_shop_is_kept(shop: Path) -> None:
    _, address = sign_up(shop)
    browser = visitor()
    assert browser.get("/checkout/").url == "/account/login/?next=/checkout/"
    assert log_in(browser, address, next="/checkout/").url == "/checkout/"


def test_every_answer_has_its_headers(shop: Path) -> None:
    browser = visitor()
    for path in PAGES:
        headers = browser.get(path).headers
        policy = headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy and "base-uri 'none'" in policy
        assert "unsafe" not in policy and "http" not in policy and "*" not in policy and "data:" not in policy
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["X-Frame-Options"] == "DENY", path
        assert headers["Referrer-Policy"] == "same-origin"
        assert headers["Cross-Origin-Opener-Policy"] == "same-origin"


def test_pages_of_somebody_are_kept_by_nobody(shop: Path) -> None:
    browser, _ = sign_up(shop)
    for path in ("/", "/for-you/", "/account/", "/orders/", "/basket/", f"/article/{ARTICLE_IDS[0]}/"):
        assert "no-store" in browser.get(path).headers["Cache-Control"], path
    for path in ("/", "/for-you/", f"/article/{ARTICLE_IDS[0]}/"):
        control = visitor().get(path).headers["Cache-Control"]
        assert "private" in control and "max-age" not in control, path


def test_cookies_are_out_of_reach_of_scripts_and_other_sites(shop: Path) -> None:
    browser, _ = sign_up(shop)
    browser.get("/")
    browser.get("/account/")
    assert {"session", "csrf", "visitor"} <= set(browser.cookies)
    for name in ("session", "csrf", "visitor"):
        cookie = browser.cookies[name]
        assert cookie["httponly"] and cookie["samesite"] == "Lax" and cookie["path"] == "/", name


def test_an_unknown_host_is_refused(shop: Path) -> None:
    for host in ("evil.example", "127.0.0.1.evil.example", "localhost@evil", "", "evil.example:8000"):
        assert visitor().get("/", HTTP_HOST=host).status_code == 400, host


@pytest.mark.parametrize(
    "path",
    [
        *("/article/../../etc/passwd/", "/article/%2e%2e%2f%2e%2e%2fetc%2fpasswd/", "/article/' OR '1'='1/"),
        *("/picture/card/..%2f..%2fhome%2fsecret_key", "/picture/../card/x", "/static/../config/settings.py"),
        *("/static/%2e%2e/config/settings.py", "/orders/' OR 1=1 --/", "/account/reset/../../x/", "/.env", "/admin/"),
        *("/account/confirm/%00/", "/article/%00/", "/article/" + "x" * 3000 + "/"),
    ],
)
def test_paths_lead_nowhere_else(shop: Path, path: str) -> None:
    answer = visitor().get(path)
    assert answer.status_code in (200, 302, 400, 404), path
    text = b"".join(answer) if answer.streaming else answer.content
    assert b"root:" not in text and b"SECRET" not in text and b"Traceback" not in text


@pytest.mark.parametrize("said", ["' OR 1=1 --", '"; DROP TABLE accounts_user; --', "%27", "\x00", "a" * 100_000, "🧥"])
def test_no_form_is_a_query_or_an_error(shop: Path, said: str) -> None:
    browser = visitor()
    for path, form in (
        ("/account/login/", {"username": said, "password": said}),
        ("/account/login/", {"username": f"{said}@example.org", "password": said}),
        ("/account/sign-up/", {"email": f"a{said}@example.org", "password": said, "birth_date": said}),
        ("/account/reset/", {"email": said}),
        ("/account/confirm/t/", {"password": said}),
        ("/account/reset/MQ/set-password/", {"new_password1": said, "new_password2": said}),
    ):
        assert browser.post(path, form).status_code in (200, 302, 429), path
    assert browser.get("/search/", {"q": said}).status_code == 200
    assert browser.get("/", {"page": said, "type": said, "from": said, "to": said}).status_code == 200


def test_what_is_looked_for_is_text_and_nothing_else(shop: Path) -> None:
    for said in ("<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "</title><script>"):
        text = visitor().get("/search/", {"q": said}).content.decode()
        assert said not in text
        text = page(visitor().post("/account/login/", {"username": said, "password": "x", "next": said}))
        assert said not in text
    assert "{{ 7*7 }}" in visitor().get("/search/", {"q": "{{ 7*7 }}"}).content.decode()
    assert "<script>" not in visitor().get("/?type=<script>alert(1)</script>&page=<script>").content.decode()


def test_mails_cannot_be_given_headers(shop: Path) -> None:
    address = new_address()
    for said in (f"{address}\nBcc: victim@example.org", f"{address}\r\nSubject: x", f"{address},victim@example.org"):
        visitor().post("/account/sign-up/", {"email": said, "password": PASSWORD})
        visitor().post("/account/reset/", {"email": said})
    assert not mails(shop, "victim@example.org")
    assert all("victim" not in text for text in mails(shop, address))


def test_others_see_nothing_of_an_account(shop: Path) -> None:
    """Another's picks, order, account and staff's pages by their addresses."""
    browser, _ = sign_up(shop)
    own = browser.get("/for-you/").content
    from tests.app.conftest import CUSTOMER_IDS

    for query in (f"?customer={CUSTOMER_IDS[0]}", f"?customer_id={CUSTOMER_IDS[0]}", f"?user=1&id={CUSTOMER_IDS[0]}"):
        assert len(browser.get(f"/for-you/{query}").content) - len(own) < 50 + len(query) * 3
        assert CUSTOMER_IDS[0] not in _without_addresses(browser.get(f"/for-you/{query}"))
        assert browser.get(f"/staff/customer/{query}").status_code == 403
        assert visitor().get(f"/staff/customer/{query}").status_code == 302
    for path in ("/account/", "/account/password/", "/account/delete/", "/checkout/", "/orders/"):
        assert visitor().get(path).status_code == 302, path


def _without_addresses(answer: Any) -> str:
    return re.sub(r'(href|value)="[^"]*"', "", answer.content.decode())


def test_a_slow_reader_of_settings_gets_no_secret(shop: Path) -> None:
    """An error is a page without what the shop knows of itself."""
    from django.conf import settings

    assert settings.DEBUG is False
    for path in ("/nope", "/article/none/", "/account/logout/"):
        text = visitor().get(path).content.decode()
        assert settings.SECRET_KEY not in text and "urlpatterns" not in text and str(shop) not in text
    assert (shop / "secret_key").stat().st_mode & 0o777 == 0o600 and shop.stat().st_mode & 0o777 == 0o700


def test_behind_tls_cookies_stay_on_it(shop: Path) -> None:
    """Settings are of a process: another one, behind a proxy that says how it was asked."""
    code = """
import django
django.setup()
from django.test import Client
plain = Client().get("/account/login/", HTTP_HOST="127.0.0.1")
assert plain.status_code == 301 and plain.url.startswith("https://"), plain
assert Client().get("/health", HTTP_HOST="127.0.0.1").status_code == 200
answer = Client().get("/account/login/", HTTP_HOST="127.0.0.1", HTTP_X_FORWARDED_PROTO="https")
assert answer.status_code == 200 and "max-age" in answer.headers["Strict-Transport-Security"], answer.headers
assert answer.cookies["__Host-csrf"]["secure"]
"""
    environment = os.environ | {"ATELIER_SHOP_HTTPS": "1", "ATELIER_SHOP_PROXIES": "1"}
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, check=True)
