"""Signing up: nobody learns who has an account, and nobody gets one at another's address."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from tests.app.people import (
    PASSWORD,
    account,
    events_of,
    link_in,
    log_in,
    mails,
    new_address,
    page,
    settle,
    sign_up,
    visitor,
)


def test_a_new_account_is_a_new_customer_from_its_first_view_on(shop: Path, landing: Path) -> None:
    from tests.app.conftest import ARTICLE_IDS, CUSTOMER_IDS

    browser, address = sign_up(shop, birth_date="1990-05-17", taste=["Ladieswear"])
    browser.get(f"/article/{ARTICLE_IDS[0]}/")
    browser.get(f"/article/{ARTICLE_IDS[1]}/")
    user = account(address)
    assert len(user.customer_id) == 64 and user.customer_id not in CUSTOMER_IDS
    assert user.password.startswith("argon2$argon2id$") and user.taste == ["Ladieswear"]
    assert user.birth_date == date(1990, 5, 17) and not user.is_staff
    views = [event for event in events_of(landing, browser) if event["event"] == "view"]
    assert [event["customer_id"] for event in views] == [user.customer_id] * 2
    assert [event["birth_date"] for event in views] == ["1990-05-17", None]  # once a session


def test_a_known_address_gets_the_same_page_and_another_mail(shop: Path) -> None:
    _, known = sign_up(shop)
    before = account(known)
    answers = [
        visitor().post("/account/sign-up/", {"email": said, "password": "other-words-entirely"}, follow=True)
        for said in (known.upper(), new_address())
    ]
    assert answers[0].status_code == answers[1].status_code == 200
    assert answers[0].redirect_chain == answers[1].redirect_chain
    assert page(answers[0]) == page(answers[1])
    assert "has an account already" in mails(shop, known)[-1]
    assert account(known).password == before.password


def test_known_and_unknown_addresses_cost_the_same_work(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Time, as far as a test can tell it: hashes computed and queries made while the browser waits."""
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    from app.accounts.hashers import Argon2

    _, known = sign_up(shop)
    hashes: list[int] = []
    encode = Argon2.encode

    def counted(self: Argon2, password: str, salt: str) -> str:
        hashes.append(1)
        return encode(self, password, salt)

    monkeypatch.setattr(Argon2, "encode", counted)
    forms = {
        "/account/sign-up/": lambda said: {"email": said, "password": "other-words-entirely"},
        "/account/reset/": lambda said: {"email": said},
    }
    for path, fields in forms.items():
        costs = []
        for said in (known, new_address()):
            hashes.clear()
            with CaptureQueriesContext(connection) as queries:
                visitor().post(path, fields(said))
            costs.append((len(hashes), len(queries)))
            settle()
        assert costs[0] == costs[1], path
    verified: list[int] = []
    verify = Argon2.verify
    monkeypatch.setattr(Argon2, "verify", lambda *given: verified.append(1) or verify(*given))
    for said in (known, new_address()):
        hashes.clear()
        verified.clear()
        log_in(visitor(), said, "wrong-password-entirely")
        assert len(hashes) + len(verified) == 1


def test_the_link_needs_the_password_and_works_once(shop: Path) -> None:
    address, browser = new_address(), visitor()
    browser.post("/account/sign-up/", {"email": address, "password": PASSWORD})
    link = link_in(mails(shop, address)[-1])
    assert log_in(visitor(), address).status_code == 200  # no account yet
    assert browser.get(link).status_code == 200
    assert b"Wrong password" in visitor().post(link, {"password": "not-this-one-at-all"}).content
    assert browser.post(link, {"password": PASSWORD}).status_code == 302
    assert b"Wrong password" in visitor().post(link, {"password": PASSWORD}).content
    assert b"Wrong password" in visitor().post("/account/confirm/nonsense/", {"password": PASSWORD}).content


def test_a_link_dies_of_too_many_guesses(shop: Path) -> None:
    address = new_address()
    visitor().post("/account/sign-up/", {"email": address, "password": PASSWORD})
    link = link_in(mails(shop, address)[-1])
    for n in range(5):
        visitor().post(link, {"password": f"guess-number-{n}"})
    assert b"Wrong password" in visitor().post(link, {"password": PASSWORD}).content


def test_somebody_elses_sign_up_with_an_address_changes_nothing(shop: Path) -> None:
    """Whoever signs up with another's address can neither take the account nor keep its owner from it."""
    address, owner = new_address(), visitor()
    owner.post("/account/sign-up/", {"email": address, "password": PASSWORD})
    visitor().post("/account/sign-up/", {"email": address, "password": "the-attackers-words"})
    first, second = (link_in(text) for text in mails(shop, address))
    assert b"Wrong password" in owner.post(second, {"password": PASSWORD}).content
    assert owner.post(first, {"password": PASSWORD}).status_code == 302
    assert b"Wrong password" in visitor().post(second, {"password": "the-attackers-words"}).content
    assert log_in(visitor(), address, "the-attackers-words").status_code == 200


@pytest.mark.parametrize(
    ("password", "said"),
    [
        ("short", "too short"),
        ("password1234", "too common"),
        ("48201846284610", "entirely numeric"),
        ("jane.pepperpot", "too similar"),
        ("x" * 300, "at most 256"),
    ],
)
def test_password_rules(shop: Path, password: str, said: str) -> None:
    form = {"email": "jane.pepperpot@example.org", "password": password}
    answer = visitor().post("/account/sign-up/", form)
    assert answer.status_code == 200 and said in answer.content.decode()
    assert not mails(shop, "jane.pepperpot@example.org")


@pytest.mark.parametrize("born", ["2999-01-01", "1776-07-04", "yesterday"])
def test_nobody_is_born_then(shop: Path, born: str) -> None:
    form = {"email": new_address(), "password": PASSWORD, "birth_date": born}
    assert visitor().post("/account/sign-up/", form).status_code == 200


def test_nothing_but_the_forms_fields_can_be_set(shop: Path) -> None:
    more = {"is_staff": "on", "is_superuser": "on", "customer_id": "0" * 64, "is_linked": "on", "id": "1"}
    browser, address = sign_up(shop, **more)
    browser.post("/account/", {"birth_date": "1980-01-01", "email": "other@example.org", **more})
    user = account(address)
    assert not user.is_staff and not user.is_linked and user.customer_id != "0" * 64
    assert user.birth_date == date(1980, 1, 1)
    taste = {"email": new_address(), "password": PASSWORD, "taste": ["Nothing of ours"]}
    assert visitor().post("/account/sign-up/", taste).status_code == 200


def test_sign_ups_of_one_machine_and_mails_to_one_address_are_limited(shop: Path) -> None:
    address, browser = new_address(), visitor()
    codes = [browser.post("/account/sign-up/", {"email": address, "password": PASSWORD}).status_code for _ in range(21)]
    assert codes == [302] * 20 + [429]
    assert len(mails(shop, address)) == 5
