"""What Prometheus reads at /metrics: counts and times, none of single visitors.

The server keeps them in files (PROMETHEUS_MULTIPROC_DIR), so that any of its processes answers for all.
"""

from __future__ import annotations

import os

from prometheus_client import REGISTRY as OWN
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest, multiprocess

REQUESTS = Histogram(
    "shop_request_seconds",
    "Time to answer a request, by page.",
    ["view", "method", "status"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.25, 0.5, 1.0, 2.5, 10.0),
)
EVENTS = Counter("shop_events", "Events written, by type.", ["event"])
EVENTS_LOST = Counter("shop_events_lost", "Events that could not be written.")
EVENT_FILES = Counter("shop_event_files", "Files of events that were published.")
LOGINS = Counter("shop_logins", "Attempts to log in, by what came of them.", ["outcome"])
LIMITED = Counter("shop_limited", "Requests refused because there were too many of their kind.", ["kind"])


def exposition() -> bytes:
    """All of them as text."""
    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        return generate_latest(OWN)
    registry = CollectorRegistry()
    multiprocess.MultiProcessCollector(registry)
    return generate_latest(registry)
