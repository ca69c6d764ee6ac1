"""What visitors did in the shop, and what its logs tell of products and of the visitors themselves."""

from expectations.contract import Column, Contract, as_of_column
from expectations.recommendations import BUCKETS
from expectations.transactions import MAX_PRICE

#: From seen to bought.
EVENT_TYPES = ("impression", "view", "click", "wishlist", "cart", "purchase")
#: Age group -> its ages, [first, last).
AGE_GROUPS = {"child": (0, 12), "teen": (12, 18), "adult": (18, 35), "middle age": (35, 60), "senior": (60, 100)}

_ARTICLE = Column("article_id", "string", "The article, by the log's id")
_SOURCE = (
    Column("source_file", "string", "Name of the file the row came in"),
    Column("source_line", "bigint", "Line in the file (row number from 1 for Parquet)", minimum=1),
)
_CHECKSUM = Column("source_checksum", "string", "SHA-256 of that file: a file is taken in once")
#: Both, so that the log alone tells which files were taken in.
_BY_FILE = ("source_file", "source_checksum")

EVENT_COLUMNS = (
    Column("event_id", "string", "The log's id of the event, else a digest of its content"),
    Column("event_time", "timestamp", "When it happened, UTC"),
    Column("event_date", "date", "Its day, UTC"),
    Column("event_type", "string", "What was done, by the mapping's rules", allowed=EVENT_TYPES),
    Column("weight", "double", "How much it says as implicit feedback, by the mapping's rules", minimum=0),
    Column(
        "customer_id",
        "string",
        "Who did it: stated by the event, or who signed in last on the visitor's device before it",
        nullable=True,
    ),
    Column("is_signed_in", "boolean", "The event itself states the customer"),
    Column("visitor_id", "string", "The device, or the browser", nullable=True),
    Column("session_id", "string", "Events of one customer, else visitor, without a long pause: whose, and from when"),
    _ARTICLE,
    Column("list", "string", "Name of the list that the article was shown in", nullable=True),
    Column("position", "int", "Its place in the list", nullable=True, minimum=0),
    Column("source", "string", "Candidate source or method that put it there, as the event states it", nullable=True),
    Column("model_version", "string", "Version of the model behind the list, as the event states it", nullable=True),
    Column(
        "bucket",
        "int",
        "A/B bucket that the shop had the visitor in, as the event states it",
        nullable=True,
        minimum=0,
        maximum=BUCKETS - 1,
    ),
    Column("quantity", "int", "Units", nullable=True, minimum=1),
    Column("price", "double", "Price of one unit", nullable=True, minimum=0, maximum=MAX_PRICE),
    Column("currency", "string", "Of the price", nullable=True),
    Column("city", "string", "As the event states it", nullable=True),
    Column("region", "string", "As the event states it", nullable=True),
    *_SOURCE,
)

EVENTS = Contract(
    layer="silver",
    name="events",
    description="One row per event and article: each event once, without those of bots.",
    columns=EVENT_COLUMNS,
    partition_by=("event_date",),
    min_rows=0,
)

BOT_EVENTS = Contract(
    layer="silver",
    name="bot_events",
    description="Events of visitors from the moment on that they were faster than people are, as in silver/events.",
    columns=EVENT_COLUMNS,
    partition_by=("event_date",),
    min_rows=0,
)

VISITOR_FACTS = Contract(
    layer="silver",
    name="visitor_facts",
    description="What events state of visitors, whether or not the events are kept: the same once a day and block.",
    columns=(
        Column("visitor_id", "string", "The device, or the browser", nullable=True),
        Column("customer_id", "string", "The customer, where the event states it", nullable=True),
        Column("event_time", "timestamp", "When it was last stated that day, UTC"),
        Column("name", "string", "What is stated", allowed=("birth_date", "city", "region")),
        Column("value", "string", "The value; of a birth date YYYY-MM-DD"),
        *_SOURCE,
        _CHECKSUM,
    ),
    partition_by=_BY_FILE,
    min_rows=0,
)

EVENT_FILES = Contract(
    layer="ops",
    name="event_files",
    description="One row per file that silver/events was made from: what was found in it.",
    columns=(
        Column("source_file", "string", "Name of the file"),
        Column("source_checksum", "string", "SHA-256 of the file"),
        Column("row_count", "bigint", "Events delivered, whatever became of them", minimum=0),
        Column("event_count", "bigint", "Rows taken in, one per event and article", minimum=0),
        Column("left_out_count", "bigint", "Events that no rule of the mapping is for", minimum=0),
        Column("without_article_count", "bigint", "Events left out because they name no article", minimum=0),
        Column("refused_count", "bigint", "Events in silver/quarantine that were not taken in", minimum=0),
        Column("duplicate_count", "bigint", "Of event_count: those that were there already", minimum=0),
        Column("bot_count", "bigint", "Of event_count: those in silver/bot_events at that time", minimum=0),
        Column("first_date", "date", "Day of its first event", nullable=True),
        Column("last_date", "date", "Day of its last event", nullable=True),
    ),
    key=("source_file",),
    partition_by=("source_file",),
    min_rows=0,
)

PRODUCT_PRICES = Contract(
    layer="silver",
    name="product_prices",
    description="One row per price in the price lists of products.",
    columns=(
        _ARTICLE,
        Column("price", "double", "The price", minimum=0, maximum=MAX_PRICE),
        Column("currency", "string", "Its currency", nullable=True),
        Column("is_original", "boolean", "The price before any discount", nullable=True),
        Column("valid_from_date", "date", "First day of the price", nullable=True),
        Column("valid_to_date", "date", "Last day of the price; null: it still holds", nullable=True),
        *_SOURCE,
        _CHECKSUM,
    ),
    partition_by=_BY_FILE,
    min_rows=0,
)

ARTICLE_ATTRIBUTES = Contract(
    layer="silver",
    name="article_attributes",
    description="One row per article, attribute and value: whatever else the shop says of its products.",
    columns=(
        _ARTICLE,
        Column("name", "string", "Name of the attribute"),
        Column("value", "string", "Its value as text; of a list one row each"),
        *_SOURCE,
        _CHECKSUM,
    ),
    partition_by=_BY_FILE,
    min_rows=0,
)

_HOW = ("stated", "same visitor", "region pair", "estimated")

VISITORS = Contract(
    layer="silver",
    name="visitors",
    description="What is known of each visitor as of a date, and how.",
    columns=(
        as_of_column(),
        Column("visitor_id", "string", "The device, or the browser; of a customer without one, the customer"),
        Column("customer_id", "string", "Who signed in there last", nullable=True),
        Column("last_event_date", "date", "Day of the last event before the as-of date"),
        Column("age", "int", "Years on that day", nullable=True, minimum=0, maximum=99),
        Column("age_group", "string", "Group of the age", nullable=True, allowed=tuple(AGE_GROUPS)),
        Column("age_source", "string", "How the age is known", nullable=True, allowed=_HOW),
        Column("city", "string", "Where the visitor is", nullable=True),
        Column("city_source", "string", "How the city is known", nullable=True, allowed=_HOW),
        Column("region", "string", "Where the visitor is", nullable=True),
        Column("region_source", "string", "How the region is known", nullable=True, allowed=_HOW),
    ),
    key=("as_of_date", "visitor_id"),
    partition_by=("as_of_date",),
    min_rows=0,
)
