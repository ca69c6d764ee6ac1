"""What visitors do, as lines of JSON in the events landing folder (mapping `atelier` of jobs.ingest.shop_events).

For views, which call these and never wait for a disk:

    log(request, "view", article_id="0108775015")
    log_many(request, "impression", [{"article_id": "0108775015", "position": 0}, ...], list="for_you")
    clicks.token("0108775015", list="for_you", position=0)   what a link to an article carries as ?c=...
    clicks.log_click(request, "0108775015")                   its page logs the click that led there
    bucket_of(request), list_of(bucket_of(request))           the A/B bucket, and which list it is shown

Who did it is taken from the request: customer, visitor (a signed cookie), bucket.
"""

from app.events import clicks
from app.events.buckets import bucket_of, list_of
from app.events.record import log, log_many

__all__ = ["bucket_of", "clicks", "list_of", "log", "log_many"]
