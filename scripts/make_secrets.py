"""Makes the keys of one Airflow home and the password of its user `admin`; scripts/airflow calls it once per home."""

from __future__ import annotations

import json
import sys
from base64 import urlsafe_b64encode
from pathlib import Path
from secrets import token_bytes, token_urlsafe


def main(home: Path) -> None:
    """Writes passwords.json, then secrets.env: the latter's existence says that both are there."""
    (home / "passwords.json").write_text(json.dumps({"admin": token_urlsafe(16)}) + "\n")
    keys = {
        "AIRFLOW__CORE__FERNET_KEY": urlsafe_b64encode(token_bytes(32)).decode(),
        "AIRFLOW__API__SECRET_KEY": token_urlsafe(48),
        "AIRFLOW__API_AUTH__JWT_SECRET": token_urlsafe(64),
    }
    (home / "secrets.env").write_text("".join(f"{name}={value}\n" for name, value in keys.items()))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
