"""The events of a deleted account become nobody's: in the files that this shop wrote, which are then taken in anew.

A line that was the customer's, or of a browser while nobody else was signed in there, loses customer, date of birth,
city and region, and its visitor becomes another, new in each file. The ingest sees that a file has changed and puts its
days together anew; other files of the folder are not this shop's, and stay as they are.
"""

from __future__ import annotations

import json
import logging
import os
import secrets
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import Any

from django.conf import settings
from django.utils import timezone

from app.events.models import Erasure
from app.events.writer import PREFIX

#: After so many seconds beyond a file's age no process has an event of before the deletion in a hidden file.
MARGIN_SECONDS = 60
_DRAFT = ".anonymous"
_GONE = ("customer_id", "city", "region", "birth_date")

log = logging.getLogger(__name__)


def erase_due() -> None:
    """Do what deletions have asked for: at once, and once more when every file that was open then is published."""
    for erasure in Erasure.objects.filter(finished_at=None).order_by("pk"):
        settled = erasure.requested_at + timedelta(seconds=settings.SHOP_EVENT_SECONDS + MARGIN_SECONDS)
        is_settled = timezone.now() >= settled
        if erasure.is_begun and not is_settled:
            continue
        count = anonymise(settings.SHOP_EVENTS, erasure.customer_id)
        log.info("a deleted account: its events in %s files are anonymous now", count)
        if is_settled:
            erasure.customer_id = ""
            erasure.finished_at = timezone.now()
        erasure.is_begun = True
        erasure.save()


def anonymise(folder: Path, customer_id: str) -> int:
    """Make the customer's events nobody's in all published files; how many files had any.

    A file is replaced by a rename, so that whoever reads it sees the old one or the new one.
    """
    for draft in folder.glob(f".{PREFIX}*{_DRAFT}"):  # of a process that was killed at it
        draft.unlink()
    files = sorted(folder.glob(f"{PREFIX}*.jsonl"))
    own = customer_id.encode()
    visitors = {
        event["visitor_id"].encode() for file in files for event in _events_with(file, [own]) if event["visitor_id"]
    }
    return sum(_rewrite(file, customer_id, visitors) for file in files)


def _events_with(file: Path, texts: Iterable[bytes]) -> Iterable[dict[str, Any]]:
    with file.open("rb") as lines:
        for line in lines:
            if any(text in line for text in texts):
                yield json.loads(line)


def _rewrite(file: Path, customer_id: str, visitors: set[bytes]) -> bool:
    """Rewrite the file if there is anything in it; False if not."""
    texts = [customer_id.encode(), *visitors]
    names: dict[str, str] = {}
    draft = file.with_name(f".{file.name}{_DRAFT}")
    is_changed = False
    try:
        with file.open("rb") as lines, draft.open("wb") as out:
            for line in lines:
                if any(text in line for text in texts):
                    event = json.loads(line)
                    if event["customer_id"] in (None, customer_id):
                        is_changed = True
                        new = names.setdefault(event["visitor_id"], secrets.token_hex(16))
                        event |= dict.fromkeys(_GONE) | {"visitor_id": new}
                        line = json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
                out.write(line)
            out.flush()
            os.fsync(out.fileno())
        if is_changed:
            os.replace(draft, file)
    finally:
        draft.unlink(missing_ok=True)
    return is_changed
