"""The job from articles and image files to gold/image_features, and back to what analysts read."""

from __future__ import annotations

import shutil
from pathlib import Path

import duckdb
import polars as pl
import pyarrow as pa
import pytest
from deltalake import DeltaTable
from PIL import Image, ImageDraw

from expectations.images import IMAGE_FEATURES
from jobs.embeddings.decode import CHANGED, OUTSIDE
from jobs.embeddings.feature_store import Chunks
from jobs.features import image_descriptors, image_features
from jobs.platform.errors import JobError
from jobs.platform.job import Job
from tests.jobs.embeddings import drawn
from tests.jobs.embeddings.test_decode import BROKEN

N = 40
#: Different pictures of the first run: 30 drawings repeat, the truncated and the CMYK file are two more.
DIFFERENT = 32


def run(data: Path, **values: object) -> str:
    settings = drawn.settings(data, **values)
    return image_features.main(Job("features.image_features", settings, image_features.READS, image_features.WRITES))


def redraw(data: Path, i: int, colour: str) -> None:
    """Another picture for article i, unlike all others: a disc."""
    picture = Image.new("RGB", (60, 90), (235, 235, 235))
    ImageDraw.Draw(picture).ellipse((10, 20, 50, 60), colour)
    picture.save(drawn.image_path(data, i), quality=95)


def table(data: Path) -> DeltaTable:
    return DeltaTable(str(data / "warehouse" / IMAGE_FEATURES.path))


def rows(data: Path) -> dict[str, dict[str, object]]:
    return {row["article_id"]: row for row in table(data).to_pyarrow_table().to_pylist()}


@pytest.fixture(scope="module")
def first_run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A warehouse after its first run, on all cores: article 3 has no picture, 4 a truncated one, 6 is CMYK."""
    data = tmp_path_factory.mktemp("first")
    drawn.publish_articles(data, range(N))
    for i in range(N):
        drawn.draw(data, i)
    drawn.image_path(data, 3).unlink()
    drawn.image_path(data, 4).write_bytes(BROKEN["truncated by 40 %"][0])
    with Image.open(drawn.image_path(data, 6)) as picture:
        picture.convert("CMYK").save(drawn.image_path(data, 6), "JPEG", quality=95)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(image_features, "CHUNK", 16)
        return data, run(data)


@pytest.fixture
def data(first_run: tuple[Path, str], tmp_path: Path) -> Path:
    """A copy of the first run's folder."""
    return Path(shutil.copytree(first_run[0], tmp_path / "copy"))


def test_one_row_per_article(first_run: tuple[Path, str]) -> None:
    data, summary = first_run
    found = rows(data)
    assert list(found) == [drawn.article_id(i) for i in range(N)]
    row = found[drawn.article_id(1)]  # blue, 40 x 71 pixels on 60 x 90
    assert (row["image_status"], row["dominant_colour_name"], row["has_silhouette"]) == ("ok", "blue", True)
    assert row["garment_share"] == pytest.approx(40 * 71 / 5400, rel=0.06)
    assert [row["dominant_colour"], row["dominant_share"]] == list(row["colours"][0].values())
    assert row["colour_group_distance"] < 3 and row["is_colour_unusual"] is False
    assert len(row["hu_moments"]) == 7 and row["method"] == f"v{image_descriptors.VERSION}-tolerance12-limit8"
    missing, broken, cmyk = (found[drawn.article_id(i)] for i in (3, 4, 6))
    assert (missing["image_status"], missing["image_checksum"], missing["colours"]) == ("missing", None, None)
    assert broken["image_status"] == "broken" and "truncated" in broken["image_error"] and broken["image_checksum"]
    assert {broken[name] for name in IMAGE_FEATURES.column_names[5:]} == {None}
    assert (cmyk["image_status"], cmyk["image_error"]) == ("ok", "CMYK: converted to RGB")
    assert cmyk["dominant_colour_name"] == "red"
    assert summary == (
        "38 images ok, 1 of them converted (CMYK 1), 1 missing, 1 broken; 0 unlike their colour group; "
        f"{DIFFERENT} newly looked at"
    )


def test_rerun_looks_at_nothing_and_commits_nothing(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_features, "describe", lambda *_: pytest.fail("looked at a picture"))
    before = table(data).version()
    assert run(data).endswith("up to date")
    assert table(data).version() == before


def test_only_changed_pictures_are_looked_at(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before, seen = rows(data), []
    monkeypatch.setattr(
        image_features, "describe", lambda *args: (seen.append(args), image_descriptors.describe(*args))[1]
    )
    redraw(data, 5, "red")  # it was blue
    summary = run(data)
    assert "1 unlike their colour group (most: Green 1); 1 newly looked at" in summary and len(seen) == 1
    after = rows(data)
    assert after[drawn.article_id(5)]["dominant_colour_name"] == "red"
    assert after[drawn.article_id(5)]["is_colour_unusual"] is True
    assert [key for key in after if after[key]["colours"] != before[key]["colours"]] == [drawn.article_id(5)]
    shutil.copy(drawn.image_path(data, 7), drawn.image_path(data, 3))  # no longer missing, and known already
    assert "0 newly looked at" in run(data) and len(seen) == 1
    row, other = (rows(data)[drawn.article_id(i)] for i in (3, 7))
    assert row["image_status"] == "ok" and row["hu_moments"] == other["hu_moments"]


def test_other_parameters_look_at_everything_again(data: Path) -> None:
    assert f"{DIFFERENT} newly looked at" in run(data, colour_tolerance=30, colour_limit=1)
    found = rows(data).values()
    assert {row["method"] for row in found} == {f"v{image_descriptors.VERSION}-tolerance30-limit1"}
    assert {len(row["colours"]) for row in found if row["colours"]} == {1}


def test_an_article_that_leaves_the_catalogue_leaves_the_table(data: Path) -> None:
    drawn.publish_articles(data, range(1, N))
    assert "0 newly looked at" in run(data)
    assert list(rows(data)) == [drawn.article_id(i) for i in range(1, N)]


def test_same_rows_on_one_core_and_on_all(first_run: tuple[Path, str], tmp_path: Path) -> None:
    again = Path(shutil.copytree(first_run[0], tmp_path / "again", ignore=shutil.ignore_patterns("gold")))
    run(again)  # fewer than a chunk
    assert rows(again) == rows(first_run[0])


def test_a_killed_run_is_resumed_where_it_was(first_run: tuple[Path, str], tmp_path: Path, monkeypatch) -> None:
    again = Path(shutil.copytree(first_run[0], tmp_path / "again", ignore=shutil.ignore_patterns("gold")))
    monkeypatch.setattr(image_features, "CHUNK", 5)
    monkeypatch.setattr(image_features, "_on_all_cores", lambda chunks: (chunk.rows() for chunk in chunks))
    add, kept = Chunks.add, list[int]()

    def killed(store: Chunks, found: pa.Table) -> None:
        if len(kept) == 3:
            raise KeyboardInterrupt
        add(store, found)
        kept.append(len(found))

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Chunks, "add", killed)
        run(again)
    assert kept == [5, 5, 5] and not (again / "warehouse" / "gold").exists()
    (work,) = (again / "warehouse" / "work" / "image_features").iterdir()
    (work / "0.partial").write_bytes(b"half a file")
    damaged = sorted(work.glob("*.parquet"))[0]
    damaged.write_bytes(damaged.read_bytes()[:-40])
    assert run(again).endswith(f"{DIFFERENT - 10} newly looked at")
    assert rows(again) == rows(first_run[0])
    assert not work.exists()


@pytest.mark.parametrize("kind", BROKEN)
def test_every_bad_file_is_a_flagged_row(tmp_path: Path, kind: str) -> None:
    content, reason = BROKEN[kind]
    drawn.publish_articles(tmp_path, range(1))
    drawn.draw(tmp_path, 0)
    drawn.image_path(tmp_path, 0).write_bytes(content)
    assert "0 images ok, 0 missing, 1 broken" in run(tmp_path, max_bad_image_share=1)
    (row,) = rows(tmp_path).values()
    assert row["image_status"] == "broken" and reason in row["image_error"]
    assert run(tmp_path, max_bad_image_share=1).endswith("up to date")


def test_files_out_of_reach(data: Path) -> None:
    outside = data / "private.jpg"
    shutil.move(drawn.image_path(data, 7), outside)
    drawn.image_path(data, 7).symlink_to(outside)
    drawn.image_path(data, 8).write_bytes(b"")
    run(data)
    link, empty = (rows(data)[drawn.article_id(i)] for i in (7, 8))
    assert (link["image_status"], link["image_error"]) == ("broken", OUTSIDE)
    assert (empty["image_error"], empty["colours"]) == ("empty file", None)


def test_a_file_that_changes_while_it_is_read_is_read_again_by_the_next_run(data: Path, monkeypatch) -> None:
    redraw(data, 5, "red")
    open_known = image_features.open_known
    with monkeypatch.context() as patch:
        patch.setattr(image_features, "open_known", lambda *args: (redraw(data, 5, "blue"), open_known(*args))[1])
        run(data)
    assert rows(data)[drawn.article_id(5)]["image_error"] == CHANGED
    run(data)
    assert rows(data)[drawn.article_id(5)]["dominant_colour_name"] == "blue"


def test_too_many_bad_images_stop_the_run(data: Path) -> None:
    before = table(data).version()
    for i in range(10, 20):
        drawn.image_path(data, i).write_bytes(b"no picture")
    with pytest.raises(JobError, match=r"such as .*jpg: .*; replace them or raise --max-bad-image-share"):
        run(data)
    assert table(data).version() == before
    # one of the ten is told from the others only by its article: they have the same content
    assert "11 broken" in run(data, max_bad_image_share=0.5)


def test_no_image_folder_is_no_error(tmp_path: Path) -> None:
    drawn.publish_articles(tmp_path, range(2))
    for case in ({}, {"mapping": "completejourney"}):
        assert "no images for mapping" in run(tmp_path, **case)


def test_analysts_unnest_the_colours(first_run: tuple[Path, str]) -> None:
    """In DuckDB, Polars and Spark SQL alike: one row per colour, its fields by name."""
    rows = table(first_run[0]).to_pyarrow_table()  # noqa: F841 - DuckDB finds it by its name
    query = "select article_id, c.hex, c.share from (select article_id, unnest(colours) as c from rows) order by 1, 3"
    by_duckdb = duckdb.sql(query).fetchall()
    by_polars = pl.read_delta(str(first_run[0] / "warehouse" / IMAGE_FEATURES.path))
    by_polars = by_polars.select("article_id", "colours").explode("colours").drop_nulls().unnest("colours")
    assert sorted(by_polars.rows(), key=lambda row: (row[0], row[2])) == by_duckdb and len(by_duckdb) >= N - 2


def test_spark_reads_the_colours(first_run: tuple[Path, str], spark) -> None:
    rows = spark.read.format("delta").load(str(first_run[0] / "warehouse" / IMAGE_FEATURES.path))
    assert dict(rows.dtypes)["colours"] == "array<struct<hex:string,share:double>>"
    exploded = rows.selectExpr("inline(colours)").groupBy().max("share").first()
    assert 0.9 < exploded[0] <= 1
