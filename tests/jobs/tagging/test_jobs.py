"""A made-up catalogue from its file to tags, through the jobs themselves."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path
from types import ModuleType
from typing import Any

import mlflow
import pyarrow as pa
import pytest
from deltalake import DeltaTable

from expectations.contract import Contract
from expectations.tagging import ARTICLE_TAGS, LABEL_AUDIT, TAGGING_METRICS
from jobs.embeddings import images
from jobs.ingest import articles
from jobs.platform.errors import JobError
from jobs.platform.job import Job
from jobs.platform.settings import Settings
from jobs.platform.tracking import champion, find_versions, set_champion
from jobs.similarity import quality, similar_articles
from jobs.tagging import audit, fit, paper_track, tag, train
from jobs.tagging import tagger as taggers
from sample_data.styles import write

COUNT = 260


def run(module: ModuleType, data: Path, warehouse: Path, **more: Any) -> str:
    fields: dict[str, Any] = {"data": data, "warehouse": str(warehouse), "mapping": "fashion_product_images"}
    fields |= {"as_of_date": date(2020, 9, 23), "encoder": "eigenfaces", "class_weighting": (0.25,)} | more
    settings = Settings(**fields)
    reads = module.READS + getattr(module, "READS_EARLIER_RUNS", ())
    return module.main(Job(module.__name__.removeprefix("jobs."), settings, reads, module.WRITES))


def rows(warehouse: Path, contract: Contract) -> list[dict[str, Any]]:
    return DeltaTable(str(warehouse / contract.path)).to_pyarrow_table().to_pylist()


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Path]]:
    """Data and warehouse of a catalogue, its pictures embedded."""
    folder = tmp_path_factory.mktemp("styles")
    data, warehouse = folder / "data", folder / "warehouse"
    write(data, COUNT, seed=1)
    lines = (data / "styles.csv").read_text().split("\n")
    (data / "styles.csv").write_text("\n".join(lines[:-1][: COUNT - 19]) + "\n")  # the rest comes later
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fit, "MIN_STEPS", 60)
        run(articles, data, warehouse)
        run(images, data, warehouse)
        yield data, warehouse


def test_a_catalogue_without_customers_is_tagged(shop: tuple[Path, Path]) -> None:
    data, warehouse = shop
    with pytest.raises(JobError, match=r"no article_tagger is registered; run tagging.train first"):
        run(tag, data, warehouse)
    said = run(train, data, warehouse)
    assert "version 1, frozen. It is the first. Accuracy by product line: gender" in said and "\n" not in said
    assert "nothing to do" in run(train, data, warehouse)
    figures = {(f["system"], f["label"], f["split"], f["metric"]) for f in rows(warehouse, TAGGING_METRICS)}
    labels = ("gender", "masterCategory", "subCategory", "articleType", "baseColour", "season", "usage")
    for system in ("tagger", "linear_probe", "majority_class"):
        for split in ("product_line", "random"):
            assert {(system, label, split, "macro_f1") for label in labels} <= figures
    files = {f.path for f in mlflow.MlflowClient().list_artifacts(champion(train.NAME).mlflow_run_id, train.NAME)}  # type: ignore[union-attr]
    assert f"{train.NAME}/confusion_articleType.png" in files

    said = run(tag, data, warehouse)
    tags = rows(warehouse, ARTICLE_TAGS)
    assert "by version 1 of article_tagger" in said and "up to date" in run(tag, data, warehouse)
    articles_tagged = {row["article_id"] for row in tags}
    assert len(tags) == len(articles_tagged) * len(labels)
    assert {row["tagger_version"] for row in tags} == {"1"} and "1163" in articles_tagged
    kinds = [row for row in tags if row["label"] == "masterCategory"]
    assert sum(row["value"] == row["stated_value"] for row in kinds) / len(kinds) > 0.6
    blank = [row for row in tags if row["label"] == "season" and row["stated_value"] is None]
    assert blank and all(row["value"] for row in blank)  # what the catalogue does not say


def test_similar_articles_and_their_report_need_no_customers(shop: tuple[Path, Path]) -> None:
    data, warehouse = shop
    run(similar_articles, data, warehouse, method="eigenfaces")
    said = run(quality, data, warehouse)
    assert "first pick of the same product type: eigenfaces" in said
    assert "mapping fashion_product_images has no purchases: whether new articles are found is not measured" in said


def test_a_wrong_label_is_found_by_who_did_not_see_it(shop: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    data, warehouse = shop
    monkeypatch.setattr(audit, "SURE", 0.5)  # a few hundred small pictures make nobody sure
    monkeypatch.setattr(audit, "HARDLY", 0.3)
    monkeypatch.setattr(audit, "FOLDS", 2)
    said = run(audit, data, warehouse)
    found = rows(warehouse, LABEL_AUDIT)
    articles_found = {row["article_id"] for row in found}
    assert f"{len(found):,} contradictions of {len(articles_found):,} among" in said and len(found) > 5
    assert sorted(row["rank"] for row in found) == list(range(1, len(found) + 1))
    assert all(row["value"] != row["stated_value"] and row["probability"] >= 0.5 for row in found)
    sheet = said.rpartition("sheet ")[2]
    assert Path(sheet.removeprefix("file://")).stat().st_size > 10_000
    assert "up to date" in run(audit, data, warehouse)


def test_new_articles_are_tagged_and_only_a_better_tagger_replaces_one(
    shop: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    data, warehouse = shop
    before = {row["article_id"] for row in rows(warehouse, ARTICLE_TAGS)}
    later = {"as_of_date": date(2020, 9, 30)}
    whole = data / "styles.csv"
    new = f"{1163 + 2 * (COUNT - 5)}"
    template = whole.read_text().rstrip("\n").split("\n")[-1].split(",")
    whole.write_text(whole.read_text() + ",".join([new, *template[1:]]) + "\n")
    assert (data / "images" / f"{new}.jpg").exists() and new not in before
    run(articles, data, warehouse)
    run(images, data, warehouse)
    monkeypatch.setattr(train, "VERSION", 2)
    monkeypatch.setattr(fit, "EPOCHS", 1)
    monkeypatch.setattr(fit, "MIN_STEPS", 1)  # hardly trained
    said = run(train, data, warehouse)
    assert "Version 1 stays champion: mean accuracy" in said
    assert len(find_versions(train.NAME)) == 2 and champion(train.NAME).version == "1"  # type: ignore[union-attr]
    assert ": 7 tags of 1 new or changed ones" in run(tag, data, warehouse, **later)
    tagged = [row for row in rows(warehouse, ARTICLE_TAGS) if row["as_of_date"] == later["as_of_date"]]
    assert {row["article_id"] for row in tagged} == {new} and {row["tagger_version"] for row in tagged} == {"1"}
    set_champion(train.NAME, "2", "by hand")  # another tagger tags all anew, this date's alone
    assert f"{7 * (len(before) + 1):,} tags of" in run(tag, data, warehouse, **later)
    tagged = [(row["tagger_version"], row["as_of_date"]) for row in rows(warehouse, ARTICLE_TAGS)]
    assert set(tagged) == {("1", date(2020, 9, 23)), ("2", later["as_of_date"])}
    assert "up to date" in run(tag, data, warehouse, **later)

    monkeypatch.setattr(train, "VERSION", 3)  # one that is trained is better than one that hardly was
    monkeypatch.setattr(fit, "EPOCHS", 25)
    said = run(train, data, warehouse)
    assert "Champion: mean accuracy" in said and "that of version 2" in said
    assert champion(train.NAME).version == "3"  # type: ignore[union-attr]


def test_the_tagger_of_an_earlier_atelier_is_replaced(shop: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    data, warehouse = shop
    monkeypatch.setattr(fit, "EPOCHS", 1)
    monkeypatch.setattr(fit, "MIN_STEPS", 1)
    save = taggers.Tagger.save

    def saved_as_before(fitted: taggers.Tagger, folder: Path) -> None:
        save(fitted, folder)
        file = folder / taggers.CONFIG
        file.write_text(file.read_text().replace('"networks"', '"heads"'))

    monkeypatch.setattr(train, "VERSION", 4)
    with monkeypatch.context() as patch:
        patch.setattr(taggers.Tagger, "save", saved_as_before)
        run(train, data, warehouse)
    set_champion(train.NAME, "4", "by hand")
    with pytest.raises(JobError, match=r"made by another version of Atelier; run tagging\.train"):
        run(tag, data, warehouse, as_of_date=date(2020, 10, 7))
    monkeypatch.setattr(train, "VERSION", 5)
    assert "Version 4 cannot be compared." in run(train, data, warehouse)
    assert champion(train.NAME).version == "5"  # type: ignore[union-attr]


def test_the_papers_twelve_models(
    shop: tuple[Path, Path], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    data, warehouse = shop
    said = run(paper_track, data, warehouse, tagging_epochs=1)
    text = capsys.readouterr().out
    assert "articles, 12 models by 2 splits" in said
    found = {
        (f["system"], f["label"], f["split"]) for f in rows(warehouse, TAGGING_METRICS) if f["report"] == "paper_track"
    }
    models = [each for each in found if each[0] != "majority_class"]
    assert len(models) == 2 * 12 and len(found) == 3 * 12
    assert "| gender (" in text and "0.81, 0.85, 880" in text
    assert "tagger" in {f["report"] for f in rows(warehouse, TAGGING_METRICS)}

    (one,) = (warehouse / "work" / "tagging").rglob("random-gender-cnn_softmax.json")
    one.unlink()  # as if the run had been killed in it
    trained, judged = list[bool](), paper_track.judged
    monkeypatch.setattr(paper_track, "judged", lambda *given: trained.append(given[3]) or judged(*given))
    run(paper_track, data, warehouse, tagging_epochs=1)
    assert trained == [False] and one.exists()


def test_types_of_every_category_are_compared() -> None:
    def column(*values: str | None) -> pa.ChunkedArray:
        return pa.chunked_array([pa.array(values, pa.string())])

    kinds = ["Shirt"] * 5 + ["Dress"] * 4 + ["Shoe"] * 3 + ["Bag"] * 2 + ["Belt", "Shoe", None]
    categories = ["Apparel"] * 9 + ["Footwear"] * 3 + ["Accessories"] * 3 + [None, "Apparel"]
    found = paper_track.chosen(column(*kinds), column(*categories))
    assert found == ("Shirt", "Shoe", "Bag", "Dress", "Belt")
    assert paper_track.chosen(column(*paper_track.TYPES, "Dress"), column(*["Apparel"] * 11)) == paper_track.TYPES


def test_binary_columns_of_unisex() -> None:
    coded = paper_track.binary_columns(["Men", "Unisex", "Girls", "Women"])
    assert coded.astype(int).tolist() == [[0, 1, 0], [0, 1, 1], [1, 0, 0], [0, 0, 1]]
    assert paper_track.classes_of(coded).tolist() == [1, 2, 3, 0] or len(set(paper_track.classes_of(coded))) == 4


def test_no_pictures_and_too_few(tmp_path: Path) -> None:
    write(tmp_path / "data", 12, seed=2)
    run(articles, tmp_path / "data", tmp_path / "warehouse")
    for picture in (tmp_path / "data" / "images").iterdir():
        picture.unlink()
    (tmp_path / "data" / "images").rmdir()
    for module in (train, tag, audit, paper_track):
        assert "there is nothing to tag" in run(module, tmp_path / "data", tmp_path / "warehouse")
    with pytest.raises(JobError, match="3 articles with a picture, of 2 product lines, are too few"):
        train.split(["a", "a", "b"])
