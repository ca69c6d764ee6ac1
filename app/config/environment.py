"""What the shop is told by its environment, all of it optional: see docs/how-to/shop-window.md."""

from __future__ import annotations

import os
import secrets
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
