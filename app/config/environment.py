"""What the shop takes from its environment, all of it optional: see docs/how-to/shop-window.md."""

from __future__ import annotations

import os
import secrets
from datetime import date
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured

_ENGINES = {"postgres": "postgresql", "postgresql": "postgresql", "sqlite": "sqlite3"}


def home() -> Path:
    """The shop's own folder, made where there is none: accounts, key, cached pictures, events to be taken in."""
    folder = Path(os.environ.get("ATELIER_SHOP_HOME") or "data/shop").resolve()
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return folder


def secret_key(folder: Path) -> str:
    """ATELIER_SHOP_SECRET_KEY, else one made once and kept in a file that only its owner reads."""
    if key := os.environ.get("ATELIER_SHOP_SECRET_KEY"):
        return key
    file = folder / "secret_key"
    draft = folder / f".secret_key.{os.getpid()}"
    if not file.exists():
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as out:
            out.write(secrets.token_urlsafe(64))
        try:
            os.link(draft, file)  # the first of several processes wins, with a whole file
        except FileExistsError:
            pass
        finally:
            draft.unlink()
    return file.read_text()


def database(folder: Path) -> dict[str, Any]:
    """Django's settings of ATELIER_SHOP_DATABASE_URL (postgres://USER:PASSWORD@HOST:PORT/NAME, sqlite:///FILE).

    Raises ImproperlyConfigured for any other.
    """
    url = urlsplit(os.environ.get("ATELIER_SHOP_DATABASE_URL") or f"sqlite:///{folder}/shop.sqlite3")
    engine = _ENGINES.get(url.scheme)
    name = unquote(url.path.removeprefix("/"))
    if engine is None or not name:
        raise ImproperlyConfigured(
            "ATELIER_SHOP_DATABASE_URL: neither postgres://USER:PASSWORD@HOST:PORT/NAME nor sqlite:///FILE"
        )
    if engine == "sqlite3":
        # A writer waits for another instead of failing; readers wait for none (WAL).
        options = {"timeout": 20, "transaction_mode": "IMMEDIATE", "init_command": "PRAGMA journal_mode=WAL"}
        return {"ENGINE": f"django.db.backends.{engine}", "NAME": name, "OPTIONS": options}
    return {
        "ENGINE": f"django.db.backends.{engine}",
        "NAME": name,
        "USER": unquote(url.username or ""),
        "PASSWORD": unquote(url.password or ""),
        "HOST": url.hostname or "",
        "PORT": str(url.port or ""),
        "CONN_MAX_AGE": 60,
        "CONN_HEALTH_CHECKS": True,
    }


def words(name: str, default: str) -> list[str]:
    """Words with commas between."""
    return [word.strip() for word in (os.environ.get(name) or default).split(",") if word.strip()]


def number(name: str, default: float) -> float:
    """A number above 0; raises ImproperlyConfigured for anything else."""
    value = os.environ.get(name) or default
    try:
        found = float(value)
    except ValueError:
        found = 0.0
    if not 0 < found < float("inf"):
        raise ImproperlyConfigured(f"{name}: {value!r} is no number above 0")
    return found


def day(name: str) -> date | None:
    """A date; raises ImproperlyConfigured for anything else. None where nothing is given."""
    value = os.environ.get(name)
    try:
        return date.fromisoformat(value) if value else None
    except ValueError:
        raise ImproperlyConfigured(f"{name}: {value!r} is no date such as 2020-09-23") from None


def events_folder() -> Path:
    """ATELIER_SHOP_EVENTS, else the folder that jobs.ingest.shop_events reads: `events` in the retailer's data.

    Raises ImproperlyConfigured where the data are in an object store.
    """
    folder = os.environ.get("ATELIER_SHOP_EVENTS")
    data = os.environ.get("ATELIER_DATA") or "data/sample"
    if not folder and "://" in data:
        raise ImproperlyConfigured(f"ATELIER_SHOP_EVENTS: give a folder; events cannot be written to {data}")
    return Path(folder or f"{data}/events").resolve()


def mail(folder: Path) -> dict[str, Any]:
    """Django's settings of ATELIER_SHOP_MAIL_URL (smtp://USER:PASSWORD@HOST:587, smtps: TLS from the first byte).

    Without one mails are files in the shop's folder. Raises ImproperlyConfigured for any other.
    """
    sender = {"DEFAULT_FROM_EMAIL": os.environ.get("ATELIER_SHOP_MAIL_FROM") or "shop@localhost"}
    value = os.environ.get("ATELIER_SHOP_MAIL_URL")
    if not value:
        where = folder / "mail"
        return sender | {
            "EMAIL_BACKEND": "django.core.mail.backends.filebased.EmailBackend",
            "EMAIL_FILE_PATH": str(where),
        }
    url = urlsplit(value)
    if url.scheme not in ("smtp", "smtps") or not url.hostname:
        raise ImproperlyConfigured("ATELIER_SHOP_MAIL_URL: neither smtp://USER:PASSWORD@HOST:PORT nor smtps://")
    return sender | {
        "EMAIL_BACKEND": "django.core.mail.backends.smtp.EmailBackend",
        "EMAIL_HOST": url.hostname,
        "EMAIL_PORT": url.port or (465 if url.scheme == "smtps" else 587),
        "EMAIL_HOST_USER": unquote(url.username or ""),
        "EMAIL_HOST_PASSWORD": unquote(url.password or ""),
        "EMAIL_USE_SSL": url.scheme == "smtps",
        "EMAIL_USE_TLS": url.scheme == "smtp",
        "EMAIL_TIMEOUT": 20,
    }
