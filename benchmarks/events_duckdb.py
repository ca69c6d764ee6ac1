"""The shop's log by DuckDB, as one would write it by hand: JSON lines to Parquet by day, nothing checked.

python -m benchmarks.events_duckdb DATA OUT
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import duckdb

from benchmarks.events_log import BOT_EVENTS, WEIGHTS

QUERY = """
CREATE TABLE once AS
SELECT * EXCLUDE (n) FROM (
    SELECT event_id, time AS event_time, event, CASE event {weights} END AS weight, visitor_id, customer_id, article_id,
        list, position, quantity, price, currency, city, region,
        row_number() OVER (PARTITION BY event_id, article_id) AS n
    FROM read_json('{files}', format = 'newline_delimited', columns = {{
        event_id: 'VARCHAR', time: 'TIMESTAMP', event: 'VARCHAR', visitor_id: 'VARCHAR', customer_id: 'VARCHAR',
        article_id: 'VARCHAR', list: 'VARCHAR', position: 'INTEGER', quantity: 'INTEGER', price: 'DOUBLE',
        currency: 'VARCHAR', city: 'VARCHAR', region: 'VARCHAR'}})
) WHERE n = 1;
CREATE TABLE known AS
SELECT * EXCLUDE (customer_id, last, signed_at), customer_id IS NOT NULL AS is_signed_in,
    CASE WHEN event_time - signed_at <= INTERVAL 30 DAY THEN last END AS customer_id
FROM (
    SELECT *, last_value(customer_id IGNORE NULLS) OVER device AS last,
        last_value(CASE WHEN customer_id IS NOT NULL THEN event_time END IGNORE NULLS) OVER device AS signed_at
    FROM once
    WINDOW device AS (PARTITION BY visitor_id ORDER BY event_time, event_id ROWS UNBOUNDED PRECEDING)
);
DROP TABLE once;
CREATE TABLE bots AS
SELECT visitor_id, min(event_time) AS since FROM (
    SELECT visitor_id, event_time,
        lag(event_time, {bot_events}) OVER (PARTITION BY visitor_id ORDER BY event_time) AS back
    FROM known WHERE event <> 'impression'
) WHERE event_time - back <= INTERVAL 60 MINUTE GROUP BY visitor_id;
CREATE TABLE judged AS
SELECT known.*, coalesce(event_time >= since, false) AS is_bot,
    coalesce('c:' || customer_id, 'v:' || visitor_id) AS whose
FROM known LEFT JOIN bots USING (visitor_id);
DROP TABLE known;
"""
WRITE = """
COPY (
    SELECT * EXCLUDE (whose, is_bot, is_new, begins),
        whose || '@' || strftime(begins, '%Y-%m-%dT%H:%M:%S.%g') AS session_id,
        event_time::DATE AS event_date
    FROM (
        SELECT *, last_value(CASE WHEN is_new THEN event_time END IGNORE NULLS)
            OVER (PARTITION BY whose ORDER BY event_time ROWS UNBOUNDED PRECEDING) AS begins
        FROM (
            SELECT *, coalesce(event_time - lag(event_time) OVER (PARTITION BY whose ORDER BY event_time)
                > INTERVAL 30 MINUTE, true) AS is_new
            FROM judged WHERE {which}
        )
    )
) TO '{out}' (FORMAT parquet, COMPRESSION snappy, PARTITION_BY (event_date))
"""


def main(data: Path, out: Path) -> None:
    """A folder of Parquet files a day of events, and of bots'."""
    out.mkdir(parents=True, exist_ok=True)
    weights = " ".join(f"WHEN '{kind}' THEN {weight}" for kind, weight in WEIGHTS.items())
    with duckdb.connect(str(out / "work.duckdb")) as database:
        database.execute(f"SET threads = {len(os.sched_getaffinity(0))}")
        database.execute("SET preserve_insertion_order = false")
        database.execute(QUERY.format(weights=weights, files=data / "events" / "*.jsonl", bot_events=BOT_EVENTS))
        database.execute(WRITE.format(which="NOT is_bot", out=out / "events"))
        database.execute(WRITE.format(which="is_bot", out=out / "bot_events"))
    (out / "work.duckdb").unlink()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
