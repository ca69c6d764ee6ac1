"""Personal picks through the job, from a small shop and its log; and those that the shop window asks for."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from expectations.contract import Contract
from expectations.embeddings import ARTICLE_EMBEDDINGS
from expectations.events import EVENTS
from expectations.personal import PERSONAL_PICKS, PERSONAL_VECTORS
from jobs.ingest.events.mapping import load_log_mapping
from jobs.platform.errors import JobError
from jobs.platform.job import Job
from jobs.platform.settings import Settings
from jobs.platform.warehouse import Warehouse
from jobs.publish import personal_picks
from jobs.publish.recommendations import bucket
from jobs.recommenders import article_vectors
from jobs.recommenders.event_weights import WEIGHTS
from jobs.recommenders.personal import Met, PersonalPicks
from tests.jobs.evaluation.silver import put, put_purchases
from tests.jobs.retrieval.small import on

ROOT = Path(__file__).resolve().parents[3]
AS_OF, ARTICLES = on(40), 12
#: Customers 0 to 2 buy articles 0 to 5, 3 to 5 articles 6 to 10; the first lie north, the others east.
BOUGHT = [(20 + (c + a) % 20, c, a) for c in range(6) for a in range(11) if (c < 3) == (a < 6) and (c + a) % 3]
EVENTS_OF_VISITORS = [
    {"event_date": on(39), "article_id": "a07", "visitor_id": "x"},
    {"event_date": on(39), "article_id": "a02", "visitor_id": "y", "customer_id": "new", "event_type": "cart"},
    {"event_date": on(38), "article_id": "a08", "visitor_id": "z", "customer_id": "c0"},
]
LATER = [{"event_date": AS_OF, "article_id": "a03", "visitor_id": visitor} for visitor in ("x", "late")]


def vectors() -> np.ndarray:
    """Two directions with a little noise, (ARTICLES, 4)."""
    noise = np.random.default_rng(0).normal(0, 0.2, (ARTICLES, 4))
    return (noise + np.where(np.arange(ARTICLES)[:, None] < 6, [1, 0, 0, 0], [0, 1, 0, 0])).astype(np.float32)


def shop(root: Path, events: list[dict[str, Any]], *, has_images: bool = True) -> Path:
    put_purchases(root, [*BOUGHT, (41, 0, 11)], customers=7, articles=ARTICLES)
    if has_images:
        images = [{"article_id": f"a{n:02d}", "image_embedding": v.tolist()} for n, v in enumerate(vectors())]
        put(root, ARTICLE_EMBEDDINGS, [{"encoder": "e", "image_status": "ok"} | image for image in images])
    fields = {"event_type": "view", "source_line": 1}
    rows = [fields | event for event in events]
    weights = [{"weight": WEIGHTS[row["event_type"]], "event_id": str(n)} for n, row in enumerate(rows)]
    moments = [{"event_time": datetime.combine(row["event_date"], datetime.min.time(), UTC)} for row in rows]
    if rows:
        put(root, EVENTS, [row | more | at for row, more, at in zip(rows, weights, moments, strict=True)])
    return root


def fix_encoder(patch: pytest.MonkeyPatch) -> None:
    """The pictures' encoder is e, and there is no joint space."""
    patch.setattr(article_vectors, "use_tracking", lambda _: None)
    patch.setattr(article_vectors, "current_encoder", lambda _: "e")
    patch.setattr(article_vectors.joint, "fitted_heads", lambda _: None)


@pytest.fixture(autouse=True)
def encoder(monkeypatch: pytest.MonkeyPatch) -> None:
    fix_encoder(monkeypatch)


def publish(root: Path, as_of_date: date = AS_OF, top_k: int = 4) -> str:
    settings = Settings(as_of_date=as_of_date, warehouse=str(root), top_k=top_k, run_id="run")
    module = personal_picks
    return module.main(Job("publish.personal_picks", settings, module.READS + module.READS_EARLIER_RUNS, module.WRITES))


def rows(root: Path, contract: Contract = PERSONAL_PICKS) -> pl.DataFrame:
    found = pl.DataFrame(Warehouse(str(root), {}).read_arrow(contract))
    return found.sort(contract.key)


def lists(root: Path, system: str) -> dict[str, list[str]]:
    found = rows(root).filter(pl.col("system") == system)
    return {key[0]: part["article_id"].to_list() for key, part in found.group_by("shopper_id", maintain_order=True)}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        fix_encoder(patch)
        root = shop(tmp_path_factory.mktemp("personal"), EVENTS_OF_VISITORS + LATER)
        publish(root)
    return root


def test_everybody_has_picks_from_the_first_view_on(made: Path) -> None:
    """Customer 6 met nothing; visitor x and a customer whom silver/customers lacks one article each."""
    shoppers = [*(f"c:c{n}" for n in range(6)), "c:new", "v:x"]
    for system in ("user_based", "embedding_image"):
        found = lists(made, system)
        assert sorted(found) == shoppers
        assert set(found["v:x"]) <= {"a06", "a08", "a09", "a10"} and set(found["c:new"]) <= {
            f"a{n:02d}" for n in range(6)
        }


def test_nobody_is_shown_what_they_met(made: Path) -> None:
    met = {f"c:c{c}": {f"a{a:02d}" for _, buyer, a in BOUGHT if buyer == c} for c in range(6)}
    met["c:c0"] |= {"a08"}
    met |= {"v:x": {"a07"}, "c:new": {"a02"}}
    for system in ("user_based", "embedding_image"):
        assert all(not met[shopper] & set(own) for shopper, own in lists(made, system).items())


def test_rows_say_whose_they_are(made: Path) -> None:
    first = {row["shopper_id"]: row for row in rows(made).filter(pl.col("rank") == 1).to_dicts()}
    columns = ("customer_id", "visitor_id", "has_events", "bucket")
    assert [first["v:x"][c] for c in columns] == [None, "x", True, bucket("x")]
    assert [first["c:new"][c] for c in columns] == ["new", None, True, bucket("new")]
    assert [first["c:c1"][c] for c in columns] == ["c1", None, False, bucket("c1")]
    assert first["c:c0"]["has_events"]


def test_nothing_from_the_date_on_counts(made: Path, tmp_path: Path) -> None:
    """A shop in which neither the later events nor the later purchase ever happen."""
    other = shop(tmp_path, EVENTS_OF_VISITORS)
    publish(other)
    assert rows(made).equals(rows(other)) and rows(made, PERSONAL_VECTORS).equals(rows(other, PERSONAL_VECTORS))


def test_without_a_log_and_pictures_purchases_alone_count(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    said = publish(shop(tmp_path, [], has_images=False))
    assert "by user_based for 6 shoppers" in said and "events count for 0" in said
    assert set(rows(tmp_path)["system"]) == {"user_based"}
    assert "no picks in the space image" in caplog.text


def test_a_rerun_replaces_the_date_alone(made: Path, tmp_path: Path) -> None:
    root = shop(tmp_path, EVENTS_OF_VISITORS)
    publish(root, AS_OF - timedelta(days=7))
    publish(root)
    publish(root)
    assert rows(root).filter(pl.col("as_of_date") == AS_OF).equals(rows(made))
    assert rows(root)["as_of_date"].n_unique() == 2


def test_the_shop_window_answers_as_the_weekly_table_does(made: Path) -> None:
    window = PersonalPicks.open(str(made))
    assert (window.as_of_date, window.model_version) == (AS_OF, "e")
    assert [pick.article_id for pick in window.pick([Met("a07")], 4)] == lists(made, "embedding_image")["v:x"]
    assert "a11" not in {pick.article_id for pick in window.pick([Met("a07")], 99)}  # sold later only


def test_the_last_things_met_count_most(made: Path) -> None:
    window, week = PersonalPicks.open(str(made)), datetime(2020, 9, 1, tzinfo=UTC)
    then, now = Met("a00", "view", week), Met("a07", "view", week + timedelta(days=21))
    east = {f"a{n:02d}" for n in range(6, 11)}
    assert {pick.article_id for pick in window.pick([then, now], 3)} <= east
    assert not {pick.article_id for pick in window.pick([then._replace(event_type="purchase"), Met("a07")], 2)} - {
        pick.article_id for pick in window.pick([Met("a07")], 4)
    }, "of two years ago even a purchase says little"
    assert not east & {pick.article_id for pick in window.pick([Met("a00", "cart"), Met("a07")], 3)}


def test_nothing_known_no_picks(made: Path, tmp_path: Path) -> None:
    window = PersonalPicks.open(str(made))
    assert window.pick([]) == window.pick([Met("gone"), Met("a00", "impression"), Met("a00", "wink")]) == []
    assert window.pick([Met("a00")], 0) == []
    with pytest.raises(JobError, match=r"personal_vectors: nothing there; run publish.personal_picks first"):
        PersonalPicks.open(str(tmp_path))


def test_the_weights_are_those_of_the_shops_own_mapping() -> None:
    assert {rule.event_type: rule.weight for rule in load_log_mapping("atelier").events.rules} == WEIGHTS


def test_the_shop_window_needs_no_spark_torch_or_mlflow() -> None:
    source = (
        "import sys, jobs.recommenders.personal;"
        "print([m for m in ('pyspark', 'torch', 'mlflow', 'scipy', 'great_expectations') if m in sys.modules])"
    )
    outcome = subprocess.run([sys.executable, "-c", source], cwd=ROOT, capture_output=True, text=True, check=True)
    assert outcome.stdout.strip() == "[]"
