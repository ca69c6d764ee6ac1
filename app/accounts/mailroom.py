"""What an address is known for is done behind the page's back: the page takes as long, and says the same, for all."""

from __future__ import annotations

import hashlib
import logging
import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from functools import lru_cache
from threading import BoundedSemaphore
from typing import Any

from django.contrib.auth.tokens import default_token_generator
from django.core.mail import send_mail
from django.db import connection
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone
from django.utils.encoding import force_bytes
from django.utils.http import urlsafe_base64_encode

from app.accounts.limits import is_allowed
from app.accounts.models import SignUp, User

#: Mails of a kind to one address in a day, whoever asks for them.
MAILS_A_DAY = 5
SIGN_UP_HOURS = 24
#: What waits to be done; beyond it requests are dropped: a person asks again.
MAX_WAITING = 100

log = logging.getLogger(__name__)
_waiting = BoundedSemaphore(MAX_WAITING)


@lru_cache(maxsize=1)
def _worker() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(1, thread_name_prefix="mailroom")


def later(work: Callable[..., None], *arguments: Any) -> None:
    """Do it after this request; a process that is asked to stop does it before it ends."""
    if _waiting.acquire(blocking=False):
        _worker().submit(_do, work, arguments)
    else:
        log.error("%s was not done: too much waits", work.__name__)


def _do(work: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    try:
        work(*arguments)
    except Exception as error:  # whose text may hold an address
        log.error("%s failed: %s", work.__name__, type(error).__name__)
    finally:
        connection.close()
        _waiting.release()


def sign_up(site: str, email: str, password: str, birth_date: date | None, taste: list[str]) -> None:
    """Write to the address: how to finish, or that there is an account already.

    Args:
        site: scheme and host of the shop.
        email: as models.normalized has it.
        password: its hash.
        birth_date: as entered, if at all.
        taste: likewise.
    """
    SignUp.objects.filter(made_at__lt=timezone.now() - timedelta(hours=SIGN_UP_HOURS)).delete()
    if not is_allowed("sign_up_mail", email, MAILS_A_DAY, 24 * 3600):
        return
    if User.objects.filter(email=email).exists():
        _write(email, "You have an account", "mails/known.txt", {"link": site + reverse("accounts:reset")})
        return
    token = secrets.token_urlsafe(32)
    SignUp.objects.create(
        token_hash=token_hash(token), email=email, password=password, birth_date=birth_date, taste=taste
    )
    link = site + reverse("accounts:confirm", args=[token])
    _write(email, "Finish your sign-up", "mails/confirm.txt", {"link": link, "hours": SIGN_UP_HOURS})


def reset(site: str, email: str) -> None:
    """Write to the address how to choose a new password, if it is an account's."""
    user = User.objects.filter(email=email, is_active=True).first()
    if user is None or not is_allowed("reset_mail", email, MAILS_A_DAY, 24 * 3600):
        return
    place = [urlsafe_base64_encode(force_bytes(user.pk)), default_token_generator.make_token(user)]
    link = site + reverse("accounts:reset_confirm", args=place)
    _write(user.email, "Choose a new password", "mails/reset.txt", {"link": link})


def token_hash(token: str) -> str:
    """What is kept of a token: whoever reads the database cannot follow the link."""
    return hashlib.sha256(token.encode()).hexdigest()


def _write(email: str, subject: str, template: str, context: dict[str, Any]) -> None:
    send_mail(f"{subject} - Atelier", render_to_string(template, context), None, [email])
    log.info("a mail was sent: %s", subject)
