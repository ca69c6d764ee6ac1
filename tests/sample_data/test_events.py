"""The shop's log: the same bytes for the same seed, and no trace of it in the other files."""

import hashlib
import json
from pathlib import Path

from sample_data.app_log import APP_COLUMNS
from sample_data.generate import PRESETS, generate


def digests(out: Path) -> dict[str, str]:
    files = (path for path in out.rglob("*") if path.is_file())
    return {str(path.relative_to(out)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_the_same_seed_gives_the_same_log_and_the_same_purchases_without_it(tmp_path: Path) -> None:
    for name, days in (("one", 2), ("again", 2), ("without", 0)):
        generate(tmp_path / name, PRESETS["tiny"], seed=1, image_count=0, event_days=days)
    one, again, without = (digests(tmp_path / name) for name in ("one", "again", "without"))
    assert one == again and without == {name: one[name] for name in one if "/" not in name}
    logs = {f"events/events_2020-09-{day}.jsonl" for day in (21, 22)} | {"events/truth.json"}
    app = {f"app_log/events_2020-09-{day}.csv" for day in (21, 22)} | {"app_log/products.csv", "app_log/truth.json"}
    assert one.keys() - without.keys() == logs | app
    header = (tmp_path / "one" / "app_log" / "events_2020-09-22.csv").read_text().partition("\n")[0]
    assert header.split(",") == APP_COLUMNS and len(APP_COLUMNS) == 44
    truth = json.loads((tmp_path / "one" / "events" / "truth.json").read_text())
    lines = sum(len(path.read_text().splitlines()) for path in (tmp_path / "one" / "events").glob("*.jsonl"))
    assert lines == truth["events"] + truth["bot_events"] + truth["duplicates"] + truth["broken"]
