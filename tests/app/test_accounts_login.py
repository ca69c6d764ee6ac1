"""Logging in and out, lock-out, passwords, deletion, and staff's link to a customer."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest

from tests.app.conftest import ARTICLE_IDS, CUSTOMER_IDS
from tests.app.people import (
    PASSWORD,
    account,
    events,
    events_of,
    link_in,
    log_in,
    mails,
    new_address,
    page,
    sign_up,
    staff,
    visitor,
)

NEW = "twelve-herons-wade"


def is_logged_in(browser: object) -> bool:
    return browser.get("/account/").status_code == 200  # type: ignore[attr-defined]


def test_a_wrong_password_and_an_unknown_address_are_told_the_same(shop: Path) -> None:
    _, known = sign_up(shop)
    pages = [page(log_in(visitor(), said, "wrong-words-entirely"), said) for said in (known, "nobody@example.org")]
    assert pages[0] == pages[1] and "not an account" in pages[0]


def test_lock_out_and_its_end(shop: Path) -> None:
    from axes.models import AccessAttempt
    from django.utils import timezone

    _, address = sign_up(shop)
    attacker = visitor()
    spelt = [address, address.upper(), f" {address}", address.title(), address]
    codes = [log_in(attacker, said, "wrong-words-entirely").status_code for said in spelt]
    assert codes == [200] * 4 + [429]
    assert log_in(attacker, address).status_code == 429  # with the right password, too
    assert log_in(visitor(), address).status_code == 302  # the owner is elsewhere
    AccessAttempt.objects.update(attempt_time=timezone.now() - timedelta(minutes=16))
    assert log_in(attacker, address).status_code == 302


def test_an_unknown_address_is_locked_out_the_same(shop: Path) -> None:
    browser, address = visitor(), new_address()
    codes = [log_in(browser, address, "wrong-words-entirely").status_code for _ in range(6)]
    assert codes == [200] * 4 + [429] * 2


def test_who_asks_is_told_by_our_proxies_only(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another claimed address for each guess does not help; behind a proxy, its word is what counts."""
    from django.conf import settings

    browser, address = visitor(), new_address()
    for n in range(5):
        answer = browser.post(
            "/account/login/", {"username": address, "password": "x"}, headers={"X-Forwarded-For": f"8.8.8.{n}"}
        )
    assert answer.status_code == 429
    monkeypatch.setattr(settings, "SHOP_PROXIES", 1)
    codes = []
    for n in range(6):
        heard = {"X-Forwarded-For": f"8.8.8.{n}, 10.99.0.1" if n < 5 else "8.8.8.8, 10.99.0.2"}
        codes.append(log_in(visitor(), address, "x", headers=heard).status_code)
    assert codes == [200] * 4 + [429, 200]
    assert browser.get("/metrics", headers={"X-Forwarded-For": "127.0.0.1"}).status_code == 404


def test_one_machine_cannot_try_many_accounts(shop: Path) -> None:
    browser = visitor()
    codes = [log_in(browser, f"a{n}@example.org", "").status_code for n in range(61)]
    assert codes == [200] * 60 + [429]


def test_a_session_planted_before_login_is_worth_nothing(shop: Path) -> None:
    """Session fixation: the key changes at login, and the one from before is nobody's."""
    _, address = sign_up(shop)
    browser = visitor()
    browser.session.save()
    from django.contrib.sessions.backends.db import SessionStore

    planted = SessionStore()
    planted["mine"] = True
    planted.save()
    browser.cookies["session"] = planted.session_key
    assert log_in(browser, address).status_code == 302
    assert browser.cookies["session"].value != planted.session_key
    attacker = visitor()
    attacker.cookies["session"] = planted.session_key
    assert not is_logged_in(attacker) and is_logged_in(browser)


def test_logout_is_by_post_ends_the_session_and_makes_another_visitor(shop: Path) -> None:
    browser, _ = sign_up(shop)
    browser.get("/")
    key, who = browser.cookies["session"].value, browser.cookies["visitor"].value
    assert browser.get("/account/logout/").status_code == 405 and is_logged_in(browser)
    assert browser.post("/account/logout/").status_code == 302
    assert browser.cookies["visitor"].value != who
    thief = visitor()
    thief.cookies["session"] = key
    assert not is_logged_in(thief) and not is_logged_in(browser)


def test_changing_the_password_ends_all_other_sessions(shop: Path) -> None:
    browser, address = sign_up(shop)
    other = visitor()
    log_in(other, address)
    wrong = {"old_password": "not-this-one-at-all", "new_password1": NEW, "new_password2": NEW}
    assert browser.post("/account/password/", wrong).status_code == 200
    assert browser.post("/account/password/", wrong | {"old_password": PASSWORD}).status_code == 302
    assert is_logged_in(browser) and not is_logged_in(other)
    assert log_in(visitor(), address).status_code == 200
    assert log_in(visitor(), address, NEW).status_code == 302


def test_reset_by_mail_works_once_and_ends_sessions_and_lock_out(shop: Path) -> None:
    browser, address = sign_up(shop)
    locked = visitor()
    for _ in range(5):
        log_in(locked, address, "wrong-words-entirely")
    asked = visitor().post("/account/reset/", {"email": address.upper()}, follow=True)
    unknown = visitor().post("/account/reset/", {"email": new_address()}, follow=True)
    assert asked.content == unknown.content
    link = link_in(mails(shop, address)[-1])
    reader = visitor()
    form = reader.get(link, follow=True)
    assert form.status_code == 200 and link.split("/")[-2] not in form.request["PATH_INFO"]  # no secret in the address
    answer = reader.post(form.request["PATH_INFO"], {"new_password1": NEW, "new_password2": NEW})
    assert answer.status_code == 302 and not is_logged_in(browser)
    assert log_in(locked, address, NEW).status_code == 302
    assert b"over, or was used" in visitor().get(link, follow=True).content


def test_mails_name_the_shop_not_the_host_that_was_claimed(shop: Path) -> None:
    _, address = sign_up(shop)
    before = len(mails(shop, address))
    for header in ({"HTTP_HOST": "evil.example"}, {"HTTP_HOST": "evil.example:80", "HTTP_X_FORWARDED_HOST": "evil"}):
        assert visitor().post("/account/reset/", {"email": address}, **header).status_code == 400
    visitor().post("/account/reset/", {"email": address}, HTTP_X_FORWARDED_HOST="evil.example")
    texts = mails(shop, address)
    assert len(texts) == before + 1 and "evil" not in texts[-1]


def test_deleting_an_account_leaves_its_events_to_nobody(shop: Path, landing: Path) -> None:
    from app.events import housekeeping
    from app.events.models import Erasure

    browser = visitor()
    browser.get("/")  # nobody yet
    _, address = sign_up(shop, browser, birth_date="1987-11-03")
    customer_id = account(address).customer_id
    browser.get(f"/article/{ARTICLE_IDS[0]}/")
    browser.post("/basket/add/", {"article_id": ARTICLE_IDS[1]})
    other, _ = sign_up(shop)
    other.get(f"/article/{ARTICLE_IDS[0]}/")
    mine = len(events_of(landing, browser))
    theirs = events_of(landing, other)
    strangers = landing / "events_2020-09-22.jsonl"
    strangers.write_text(json.dumps({"customer_id": customer_id, "visitor_id": "d1"}) + "\n")
    assert b"not your password" in browser.post("/account/delete/", {"password": "not-this-one-at-all"}).content
    visitor_id = browser.cookies["visitor"].value.partition(":")[0]
    assert browser.post("/account/delete/", {"password": PASSWORD}).status_code == 302
    assert not is_logged_in(browser) and log_in(visitor(), address).status_code == 200
    count = len(events(landing))
    housekeeping.keep_house()
    after = events(landing)
    text = "".join(file.read_text() for file in landing.glob("shop_*.jsonl"))
    assert len(after) == count and mine >= 3
    assert not [said for said in (customer_id, visitor_id, "1987-11-03") if said in text]
    assert events_of(landing, other) == theirs
    assert customer_id in strangers.read_text()
    strangers.unlink()
    erasure = Erasure.objects.get(customer_id=customer_id)
    assert erasure.is_begun and erasure.finished_at is None  # once more when all open files are published
    from django.utils import timezone

    Erasure.objects.update(requested_at=timezone.now() - timedelta(hours=1))
    housekeeping.keep_house()
    erasure.refresh_from_db()
    assert erasure.finished_at is not None and erasure.customer_id == ""


def test_staff_link_an_account_to_a_customer_and_nobody_else_does(shop: Path) -> None:
    browser, address = sign_up(shop)
    _, other_address = sign_up(shop)
    form = {"email": address, "customer_id": CUSTOMER_IDS[-1]}
    own = account(address).customer_id
    assert visitor().post("/account/staff/link/", form).status_code == 302
    assert browser.post("/account/staff/link/", form).status_code == 403
    assert account(address).customer_id == own
    member = staff()
    missing = member.post("/account/staff/link/", form | {"customer_id": "9" * 64})
    assert b"no such customer" in missing.content
    assert member.post("/account/staff/link/", form).status_code == 302
    assert account(address).customer_id == CUSTOMER_IDS[-1] and account(address).is_linked
    twice = member.post("/account/staff/link/", {"email": other_address, "customer_id": CUSTOMER_IDS[-1]})
    assert b"has an account already" in twice.content
    assert member.post("/account/staff/link/", {"email": address, "customer_id": ""}).status_code == 302
    assert account(address).customer_id not in (own, CUSTOMER_IDS[-1])
