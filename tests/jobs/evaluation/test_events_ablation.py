"""What events add, in a shop whose visitors look at what they buy next."""

from __future__ import annotations

from datetime import UTC, datetime, time
from pathlib import Path

import numpy as np
import pytest

from expectations.events import EVENTS
from jobs.evaluation import docs_section, events_ablation
from jobs.platform.job import Job
from jobs.platform.settings import Settings
from tests.jobs.evaluation.silver import put, put_purchases
from tests.jobs.retrieval.small import on

AS_OF = on(70)


@pytest.mark.parametrize("days_ahead", [1, 0])
def test_what_is_looked_at_the_day_before_helps_and_what_is_looked_at_that_day_cannot(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, days_ahead: int
) -> None:
    """Everyone buys on the first day of each label week. A view of that day is of the future, as of its start."""
    rng = np.random.default_rng(0)
    early = [(int(day), c, int(a)) for c in range(30) for day, a in rng.integers(0, 40, (4, 2))]
    labels = [(day, c, int(rng.integers(0, 40))) for day in (42, 49, 56, 63) for c in range(30)]
    put_purchases(tmp_path, [*early, *labels], customers=30, articles=40)
    events = [
        {
            "event_id": str(n), "event_date": on(day - days_ahead), "event_type": "cart", "weight": 3.0,
            "customer_id": f"c{c}", "article_id": f"a{a:02d}", "source_line": n + 1,
            "event_time": datetime.combine(on(day - days_ahead), time.min, UTC), "is_signed_in": True,
        }
        for n, (day, c, a) in enumerate(labels)
    ]  # fmt: skip
    put(tmp_path, EVENTS, events)
    page = tmp_path / "results" / events_ablation.PAGE
    page.parent.mkdir()
    page.write_text("before\n{}\n{}\nafter\n".format(*docs_section.marks(events_ablation.SECTION)))
    monkeypatch.setattr(docs_section, "DOCS", tmp_path)
    settings = Settings(as_of_date=AS_OF, warehouse=str(tmp_path), write_docs=True, data=str(tmp_path))
    module = events_ablation
    module.main(Job("evaluation.events_ablation", settings, module.READS + module.READS_EARLIER_RUNS, ()))
    said = capsys.readouterr().out
    assert "4 label weeks from" in said and "120 buyer-weeks" in said and "embedding_image left out" in said
    assert "two_tower and two_stage left out: silver" in said or "two_tower and two_stage left out: gold" in said
    (row,) = [line for line in page.read_text().splitlines() if line.startswith("| user_based |")]
    gain = float(row.split("|")[4].split()[0])
    assert gain > 0.05 if days_ahead else gain < 0.05
    assert page.read_text().startswith("before\n") and page.read_text().endswith("after\n")
