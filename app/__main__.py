"""The shop window: python -m app [COMMAND ...], Django's commands; without one it migrates and serves.

python -m app                      serve on ATELIER_SHOP_BIND (127.0.0.1:8000)
python -m app createsuperuser      a member of staff
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> None:
    """Run one of Django's commands, or the server."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "app.config.settings")
    os.environ["ATELIER_SHOP_PID"] = str(os.getpid())
    arguments = list(sys.argv[1:] if argv is None else argv)
    from django.core.management import execute_from_command_line

    if arguments:
        execute_from_command_line(["app", *arguments])
        return
    _keep_measurements()
    execute_from_command_line(["app", "migrate", "--verbosity", "0", "--skip-checks"])
    from app.config.server import serve

    serve()


def _keep_measurements() -> None:
    """Where the server's processes put them, each in files of its own; before anything imports prometheus_client."""
    from app.config.environment import home

    folder = home() / "metrics"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(folder)


if __name__ == "__main__":
    main()
