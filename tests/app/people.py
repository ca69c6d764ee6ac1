"""What tests do as people: each from an address of their own, so that the limits of one test are not another's."""

from __future__ import annotations

import email
import email.policy
import itertools
import json
import re
from pathlib import Path
from typing import Any

PASSWORD = "seven-otters-sing"
#: What Django's file backend writes after each mail.
_BETWEEN_MAILS = b"-" * 79 + b"\n"
_numbers = itertools.count(1)


def visitor(**options: Any) -> Any:
    """A browser that has not been here."""
    from django.test import Client

    number = next(_numbers)
    return Client(REMOTE_ADDR=f"10.{number // 65536}.{number // 256 % 256}.{number % 256}", **options)


def new_address() -> str:
    return f"person{next(_numbers)}@example.org"


def settle() -> None:
    """Wait until the mailroom has done what it was given."""
    from app.accounts import mailroom

    mailroom._worker().submit(lambda: None).result(10)


def mails(home: Path, address: str) -> list[str]:
    """Texts of the mails to an address, the newest last, once this process has written them."""
    settle()
    return mails_in(home, address)


def mails_in(home: Path, address: str) -> list[str]:
    """Texts of the mails to an address that are there."""
    found = []
    for file in sorted((home / "mail").glob("*"), key=lambda path: path.stat().st_mtime_ns):
        for text in file.read_bytes().split(_BETWEEN_MAILS):  # Django may add a mail of the same second to a file
            message = email.message_from_bytes(text, policy=email.policy.default)
            if message["To"] == address:
                found.append(message.get_content())
    return found


def link_in(text: str) -> str:
    """The path of the link in a mail."""
    found = re.search(r"https?://[^/\s]+(/\S+)", text)
    assert found, text
    return found[1]


def sign_up(home: Path, browser: Any = None, address: str = "", **told: Any) -> tuple[Any, str]:
    """A browser in which a new account is logged in, and the account's address."""
    browser, address = browser or visitor(), address or new_address()
    answer = browser.post("/account/sign-up/", {"email": address, "password": PASSWORD, **told})
    assert answer.status_code == 302, answer.content.decode()
    answer = browser.post(link_in(mails(home, address)[-1]), {"password": PASSWORD})
    assert answer.status_code == 302, answer.content.decode()
    return browser, address


def account(address: str) -> Any:
    from app.accounts.models import User

    return User.objects.get(email=address)


def staff() -> Any:
    """A browser of a member of staff."""
    from app.accounts.models import User

    address = new_address()
    User.objects.create_superuser(address, PASSWORD)
    browser = visitor()
    assert log_in(browser, address).status_code == 302
    return browser


def log_in(browser: Any, address: str, password: str = PASSWORD, headers: Any = None, **more: Any) -> Any:
    return browser.post("/account/login/", {"username": address, "password": password, **more}, headers=headers)


def events(folder: Path) -> list[dict[str, Any]]:
    """What this process has logged, all of it published now."""
    from app.events.writer import writer

    writer().close()
    return [json.loads(line) for file in sorted(folder.glob("shop_*.jsonl")) for line in file.open(encoding="utf-8")]


def events_of(folder: Path, browser: Any) -> list[dict[str, Any]]:
    """The events of a browser's visitor."""
    from app.events.visitors import COOKIE

    said = browser.cookies[COOKIE].value.partition(":")[0]
    return [event for event in events(folder) if event["visitor_id"] == said]


def page(answer: Any, *without: str) -> str:
    """The page as text, without the form's token, which differs each time, and without these words."""
    text = re.sub(r'(name="csrfmiddlewaretoken" value=)"\w+"', r"\1", answer.content.decode())
    for words in without:
        text = text.replace(words, "")
    return text
