"""The embedding job from articles and image files to gold/article_embeddings, with the catalogue encoder."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from jobs.embeddings import catalogue, reduction, stream, versions
from jobs.embeddings.decode import OUTSIDE, ImageFile, inspect_all
from jobs.embeddings.feature_store import FeatureStore
from jobs.embeddings.images import Images, _sample
from jobs.embeddings.versions import image_folder
from jobs.platform.code import ROOT
from jobs.platform.errors import JobError
from jobs.platform.tracking import find_versions, use_tracking
from tests.jobs.embeddings import drawn

N = 16


@pytest.fixture(scope="module")
def first_run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A warehouse after its first run, and that run's summary: article 3 has no picture, 4 a broken one."""
    data = tmp_path_factory.mktemp("first")
    drawn.publish_articles(data, range(N))
    for i in range(N):
        drawn.draw(data, i)
    drawn.image_path(data, 3).unlink()
    drawn.image_path(data, 4).write_bytes(b"not a picture")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(catalogue, "MIN_STEPS", 8)
        return data, drawn.run(data)


@pytest.fixture
def data(first_run: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The first run's folder, restored after a test that changes it; training once more would be an error."""
    monkeypatch.setattr(catalogue, "train", lambda *_, **__: pytest.fail("trained again"))
    folder = first_run[0]
    shutil.copytree(folder, tmp_path / "kept")
    yield folder
    shutil.rmtree(folder)
    shutil.copytree(tmp_path / "kept", folder)


def test_one_row_per_article(first_run: tuple[Path, str]) -> None:
    data, summary = first_run
    rows = drawn.rows(data)
    assert len(rows) == N
    status = [rows[drawn.article_id(i)]["image_status"] for i in range(N)]
    assert status == ["ok"] * 3 + ["missing", "broken"] + ["ok"] * (N - 5)
    broken, missing = rows[drawn.article_id(4)], rows[drawn.article_id(3)]
    assert broken["image_error"] == "not an image of a known format" and broken["image_embedding"] is None
    assert missing["image_checksum"] is None and missing["image_embedding"] is None
    vectors = np.array([row["image_embedding"] for row in rows.values() if row["image_status"] == "ok"])
    assert vectors.shape == (N - 2, N - 3)  # n centred points span n - 1 dimensions
    assert np.isfinite(vectors).all() and len(np.unique(vectors, axis=0)) > N / 2
    assert "14 images ok, 1 missing, 1 broken" in summary and "keeps 100.0% of the variance" in summary


def test_the_slice_is_the_one_that_readers_are_told(first_run: tuple[Path, str]) -> None:
    data, _ = first_run
    encoders = {row["encoder"] for row in drawn.rows(data).values()}
    assert encoders == {versions.current_encoder(drawn.settings(data))}
    assert encoders.pop().startswith("catalogue-v2-")


def test_registered_files_hold_no_pickle_and_a_picture(first_run: tuple[Path, str]) -> None:
    data, _ = first_run
    use_tracking(drawn.settings(data))
    (version,) = find_versions("catalogue_encoder")
    assert version.tags["as_of_date"] == "2020-09-16"
    files = {path.name for path in (data / "warehouse" / "mlflow" / "artifacts").rglob("catalogue_encoder/*")}
    assert files == {"network.safetensors", "pca.npz", "encoder.json", "map.png", "checksums.json"}


def test_rerun_commits_nothing(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from jobs.embeddings import encoder_fitting

    monkeypatch.setattr(encoder_fitting, "load", lambda *_: pytest.fail("loaded the encoder"))
    before = drawn.table(data).version()
    assert drawn.run(data).endswith("up to date")
    assert drawn.table(data).version() == before


def test_only_new_and_changed_images_are_embedded(data: Path) -> None:
    before = drawn.rows(data)
    drawn.publish_articles(data, range(1, N + 1))  # article 0 left, N came
    drawn.draw(data, N)
    drawn.draw(data, 3)  # no longer missing
    drawn.draw(data, 5, colour="Red")  # another picture (it was green)
    summary = drawn.run(data)
    assert "2 newly embedded" in summary  # 5 now shows what 15 shows
    after = drawn.rows(data)
    assert drawn.article_id(0) not in after and len(after) == N
    for i in range(N + 1):
        old, new = before.get(drawn.article_id(i)), after.get(drawn.article_id(i))
        if i in (0, 3, 5, N):
            assert old != new, i
        else:
            assert old == new, i
    assert after[drawn.article_id(3)]["image_status"] == "ok"
    assert drawn.run(data).endswith("up to date")


def test_same_picture_same_vector_whenever_it_is_embedded(data: Path) -> None:
    drawn.publish_articles(data, range(N + 1))
    target = drawn.image_path(data, N)
    shutil.copy(drawn.image_path(data, 7), target)
    drawn.run(data)
    rows = drawn.rows(data)
    assert rows[drawn.article_id(N)]["image_embedding"] == pytest.approx(
        rows[drawn.article_id(7)]["image_embedding"], abs=1e-3
    )


def test_fewer_dimensions_are_another_slice_without_another_training(data: Path) -> None:
    wide = drawn.rows(data)
    assert "-3d" in drawn.run(data, embedding_dim=3)
    slices = drawn.table(data).to_pyarrow_table().to_pylist()
    narrow = {row["article_id"]: row["image_embedding"] for row in slices if row["encoder"].endswith("-3d")}
    assert len(slices) == 2 * N and len(narrow) == N
    assert narrow[drawn.article_id(1)] == pytest.approx(wide[drawn.article_id(1)]["image_embedding"][:3], abs=1e-3)


def test_too_many_broken_images_stop_the_run(data: Path) -> None:
    before = drawn.table(data).version()
    for i in (5, 6, 7):
        drawn.image_path(data, i).write_bytes(b"")
    with pytest.raises(JobError, match=r"4 of 15 images cannot be read, more than the share of 0.2, such as .*000"):
        drawn.run(data)
    assert drawn.table(data).version() == before
    assert "4 broken" in drawn.run(data, max_bad_image_share=0.5)


def test_linked_picture_outside_the_folder_is_not_read(data: Path) -> None:
    outside = data / "private.jpg"
    shutil.move(drawn.image_path(data, 7), outside)
    drawn.image_path(data, 7).symlink_to(outside)
    drawn.run(data)
    row = drawn.rows(data)[drawn.article_id(7)]
    assert (row["image_status"], row["image_error"]) == ("broken", OUTSIDE)
    assert row["image_embedding"] is None


def test_links_into_a_folder_that_the_mapping_names_are_followed(data: Path, tmp_path: Path) -> None:
    mapping = tmp_path / "linked.toml"
    text = (ROOT / "jobs" / "ingest" / "mappings" / "hm.toml").read_text()
    mapping.write_text(text.replace("images = ", 'image_links = "../cache"\nimages = ', 1))
    cache = data.parent / "cache"
    cache.mkdir()
    shutil.move(drawn.image_path(data, 7), cache / "7")
    drawn.image_path(data, 7).symlink_to(cache / "7")
    folder = image_folder(drawn.settings(data, mapping=str(mapping)))
    assert folder is not None
    (found,) = inspect_all([folder.path(drawn.article_id(7))], folder.roots)
    assert found.status == "ok"


def test_pictures_of_a_strange_kind_are_embedded_flagged_and_counted(data: Path) -> None:
    with Image.open(drawn.image_path(data, 6)) as picture:
        colours = picture.convert("RGB")
    colours.convert("CMYK").save(drawn.image_path(data, 6), "JPEG")
    colours.save(drawn.image_path(data, 7), "GIF", save_all=True, append_images=[colours.rotate(180)])
    Image.fromarray(np.full((90, 60), 0x8080, np.uint16)).save(drawn.image_path(data, 8), "PNG")
    converted = "14 images ok, 3 of them converted (16 bits a pixel 1, CMYK 1, animated 1), 1 missing, 1 broken"
    assert converted in drawn.run(data)
    rows = drawn.rows(data)
    for i, reason in {6: "CMYK", 7: "animated", 8: "16 bits"}.items():
        row = rows[drawn.article_id(i)]
        assert row["image_status"] == "ok" and row["image_error"].startswith(reason) and row["image_embedding"]
    assert converted in drawn.run(data)  # of rows that were there already, too


def test_a_lost_store_is_no_first_run(data: Path, tmp_path: Path) -> None:
    """A new encoder's vectors would compare with none of those published."""
    before, empty = drawn.table(data).version(), f"sqlite:///{tmp_path}/mlflow/mlflow.db"
    lost = rf"gold/article_embeddings has vectors of catalogue-v2-\w+-\d+d, but the MLflow store {empty} has no"
    with pytest.raises(JobError, match=rf"{lost} catalogue_encoder: it is lost, or another one; bring it back"):
        drawn.run(data, mlflow_tracking_uri=empty)
    with pytest.raises(pytest.fail.Exception, match="trained again"):
        drawn.run(data, mlflow_tracking_uri=empty, accept_drift=True)
    assert drawn.run(data).endswith("up to date")
    assert drawn.table(data).version() == before


def test_training_twice_gives_the_same_table(first_run: tuple[Path, str], tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(catalogue, "MIN_STEPS", 8)
    shutil.copytree(first_run[0], tmp_path / "again", ignore=shutil.ignore_patterns("mlflow", "gold"))
    drawn.run(tmp_path / "again")
    assert drawn.rows(tmp_path / "again") == drawn.rows(first_run[0])


def test_no_images_is_no_error(tmp_path: Path) -> None:
    drawn.publish_articles(tmp_path, range(3))
    assert "mapping completejourney names no images" in drawn.run(tmp_path, mapping="completejourney")
    folder = tmp_path / "images"
    assert f"no folder {folder}, where mapping hm has the images" in drawn.run(tmp_path)
    assert versions.current_encoder(drawn.settings(tmp_path)) is None
    folder.mkdir()
    path = drawn.image_path(tmp_path, 0)
    for name in ("0100000000.jpg", "010/0100000000.JPG", "100/100000000.jpg"):  # in no folder, other case, a lost zero
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(b"x")
        assert f"no picture of any article, such as {path}; {folder} has 1 files, such as {folder / name}" in drawn.run(
            tmp_path
        )
        (folder / name).unlink()
    assert not (tmp_path / "warehouse" / "gold").exists()


def test_one_image_is_too_few(tmp_path: Path) -> None:
    drawn.publish_articles(tmp_path, range(3))
    drawn.draw(tmp_path, 1)
    with pytest.raises(JobError, match="1 readable images are too few"):
        drawn.run(tmp_path)


def test_a_killed_run_is_resumed_where_it_was(
    first_run: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalogue, "MIN_STEPS", 8)
    monkeypatch.setattr(stream, "KEEP_IMAGES", 4)
    monkeypatch.setattr(stream, "CPU_BATCH", 1)  # which pictures share a batch moves the last bits on some processors
    again = tmp_path / "again"
    shutil.copytree(first_run[0], again, ignore=shutil.ignore_patterns("mlflow", "gold"))
    kept, keep = [], FeatureStore.keep

    def killed(store: FeatureStore, files: list[ImageFile], features: np.ndarray) -> None:
        if len(kept) == 2:
            raise KeyboardInterrupt
        keep(store, files, features)
        kept.append(len(files))

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(FeatureStore, "keep", killed)
        drawn.run(again)
    assert kept == [4, 4] and not (again / "warehouse" / "gold").exists()
    (work,) = (again / "warehouse" / "work" / "embeddings").iterdir()
    (work / "0.partial").write_bytes(b"half a file")
    damaged = sorted(work.glob("*.parquet"))[0]
    damaged.write_bytes(damaged.read_bytes()[:-40])
    summary = drawn.run(again)
    assert "11 newly embedded" in summary or "10 newly embedded" in summary  # all but the undamaged four
    assert not work.exists()
    whole = tmp_path / "whole"
    shutil.copytree(first_run[0], whole, ignore=shutil.ignore_patterns("mlflow", "gold"))
    drawn.run(whole)
    assert drawn.rows(again) == drawn.rows(whole)


def test_one_picture_of_two_articles_is_embedded_once(data: Path) -> None:
    drawn.publish_articles(data, range(N + 2))
    for i in (N, N + 1):
        drawn.draw(data, 20)  # none of the others is the same
        shutil.copy(drawn.image_path(data, 20), drawn.image_path(data, i))
    assert "1 newly embedded" in drawn.run(data)
    rows = drawn.rows(data)
    assert rows[drawn.article_id(N)]["image_embedding"] == rows[drawn.article_id(N + 1)]["image_embedding"]


def test_pca_is_fitted_on_a_sample_of_a_large_catalogue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reduction, "MAX_FIT_IMAGES", 5)
    files = [ImageFile("ok", None, f"{i:064d}") for i in range(8)]
    features = np.arange(16, dtype=np.float32).reshape(8, 2)
    store = FeatureStore(tmp_path)
    store.keep(files[:3], features[:3])
    store.keep(files[3:], features[3:])
    articles = pa.table({"article_id": [drawn.article_id(i) for i in range(8)]})
    images = Images(articles, [tmp_path / f"{i}.jpg" for i in range(8)], files)
    rows, found = _sample(images, store, seed=1)
    assert len(set(rows)) == 5 and rows == sorted(rows)
    assert found.tolist() == features[rows].tolist()
    assert _sample(images, store, seed=1)[0] == rows
    monkeypatch.setattr(reduction, "MAX_FIT_IMAGES", 8)
    assert _sample(images, store, seed=1)[0] == list(range(8))
