"""Now and then, in one process at a time: files of killed processes, deleted accounts, and what is over."""

from __future__ import annotations

import fcntl
import logging
import os
import threading

from django.conf import settings
from django.contrib.sessions.models import Session
from django.db import connection
from django.utils import timezone

from app.accounts import limits
from app.events.erasure import erase_due
from app.events.writer import adopt
from app.orders import owners

SECONDS = 15.0

log = logging.getLogger(__name__)


def start() -> threading.Thread:
    """Do it in the background from now on."""
    thread = threading.Thread(target=_run, name="housekeeping", daemon=True)
    thread.start()
    return thread


def _run() -> None:
    pause = threading.Event()
    while True:
        try:
            keep_house()
        except Exception:
            log.exception("housekeeping: it will be tried again")
        finally:
            connection.close()
        pause.wait(SECONDS)


def keep_house() -> None:
    """Once, unless another process is at it."""
    folder = settings.SHOP_EVENTS
    folder.mkdir(parents=True, exist_ok=True)
    fd = os.open(folder / ".shop_housekeeping", os.O_RDWR | os.O_CREAT, 0o640)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        for path in adopt(folder):
            log.info("published %s, which a process had left unfinished", path.name)
        erase_due()
        limits.forget()
        owners.forget()
        if (over := Session.objects.filter(expire_date__lt=timezone.now())).exists():
            over.delete()
    except BlockingIOError:
        pass
    finally:
        os.close(fd)
