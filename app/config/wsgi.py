"""What a WSGI server calls."""

from __future__ import annotations

import os

import pyarrow.dataset  # noqa: F401 brings Pandas, which the first visitors would wait for
from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "app.config.settings")

application = get_wsgi_application()
