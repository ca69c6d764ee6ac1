"""Methods of texts and of both, and questions in words and pictures, on a catalogue whose pictures show its words."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path

import numpy as np
import pytest
from deltalake import DeltaTable
from PIL import Image

from expectations.embeddings import ARTICLE_TEXT_EMBEDDINGS
from expectations.similarity import SIMILAR_ARTICLES
from jobs.embeddings import joint, reduction, texts
from jobs.platform.errors import JobError
from jobs.platform.job import Job
from jobs.platform.settings import Settings
from jobs.platform.warehouse import Warehouse
from jobs.similarity import quality, query, similar_articles
from jobs.similarity.catalogue_search import CatalogueSearch
from jobs.similarity.methods import METHODS
from jobs.similarity.vectors import Vectors, summed
from tests.jobs.embeddings import described

COUNT, NO_PICTURE = 400, 1
ROWS, FEATURES = described.catalogue(COUNT)
BY_TEXT, BY_JOINT = ("tfidf", "minilm"), ("joint", "joint_image", "joint_text")


def settings(data: Path, **values: object) -> Settings:
    fields = {"warehouse": str(data / "warehouse"), "data": str(data), "encoder": "catalogue", **values}
    return Settings(as_of_date=date(2020, 9, 16), **fields)


def run(module, data: Path, **values: object) -> str:
    reads = (*module.READS, *getattr(module, "READS_EARLIER_RUNS", ()))
    return module.main(Job(module.__name__.removeprefix("jobs."), settings(data, **values), reads, module.WRITES))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Embedded texts, given picture vectors, joint heads, and picks by each method."""
    data = tmp_path_factory.mktemp("words")
    (data / "images").mkdir()
    described.publish(data, ROWS)
    described.publish_pictures(data, FEATURES, range(COUNT), missing=[NO_PICTURE])
    for encoder in BY_TEXT:
        run(texts, data, text_encoder=encoder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(joint, "EPOCHS", 12)
        run(joint, data)
    for method in (*BY_TEXT, *BY_JOINT, "fused"):
        run(similar_articles, data, method=method)
    yield data


def picks(data: Path) -> dict[str, list[dict]]:
    rows = DeltaTable(str(data / "warehouse" / SIMILAR_ARTICLES.path)).to_pyarrow_table().to_pylist()
    return {method: [row for row in rows if row["method"] == method] for method in {row["method"] for row in rows}}


def looked_up(article: str) -> dict[str, object]:
    return ROWS[int(article) - 100_000_000]


def test_every_method_finds_what_is_alike(data: Path) -> None:
    found = picks(data)
    assert set(found) == {*BY_TEXT, *BY_JOINT, "fused"}
    for method, rows in found.items():
        with_vector = COUNT - (method == "joint_image")  # who has no picture still has a text
        assert len({row["article_id"] for row in rows}) == with_vector, method
        assert len(rows) == with_vector * METHODS[method].picks
        first = [row for row in rows if row["rank"] == 1]
        # tfidf puts the product's other colour first, whose name is nearly the same.
        for label, at_least in (("product_type_name", 0.75), ("colour_group_name", 0.3 if method == "tfidf" else 0.75)):
            alike = [looked_up(r["article_id"])[label] == looked_up(r["similar_article_id"])[label] for r in first]
            assert np.mean(alike) > at_least, (method, label)
        assert not [row for row in rows if row["article_id"] == row["similar_article_id"]]
    assert run(similar_articles, data, method="fused").endswith("up to date")


def test_the_figures_of_all_methods(data: Path) -> None:
    for method in (*BY_TEXT, *BY_JOINT, "fused"):
        figures, parts = quality.measure(
            Job("similarity.quality", settings(data), quality.READS, quality.WRITES), method
        )
        found = {(f.metric, f.k): f.value for f in figures}
        assert found["same_product_type", 1] > 0.75 and found["coverage", 10] > 0.7 and 0 < found["hubness", 10] < 0.3
        assert len(parts) == (3 if method == "fused" else 1)


def search(data: Path, method: str) -> CatalogueSearch:
    asked = settings(data, method=method)
    return CatalogueSearch.load(Warehouse(asked.warehouse, {}).read_arrow, asked)


@pytest.mark.parametrize("method", [*BY_TEXT, *BY_JOINT, "fused"])
def test_words_find_articles_of_that_colour_and_type(data: Path, method: str) -> None:
    asked = search(data, method)
    for words in ("red dress", "RED  drss"):
        hits = asked.search(words, top=5)
        assert len(hits) == 5 and [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
        labels = [looked_up(hit.article_id) for hit in hits]
        assert sum(row["product_type_name"] == "Dress" for row in labels) >= 4, (method, words)
        assert sum(row["colour_group_name"] == "Red" for row in labels) >= 3, (method, words)
    for words in ("👗", "xyzzy", "ein rotes Kleid", "soft " * 5_000):
        assert len(asked.search(words, top=3)) in (0, 3)
    assert asked.size == COUNT - (method == "joint_image")


def test_a_picture_and_both_are_looked_for_in_the_joint_space(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = search(data, "joint")
    part = asked._parts[0]
    # The picture of a red dress, by what an image encoder would say of it.
    red_dress = next(n for n, row in enumerate(ROWS) if row["prod_name"].startswith("Red Dress") and n != NO_PICTURE)
    seen = part.heads.image_head(torch_row(FEATURES[red_dress])).detach().numpy()[0]
    monkeypatch.setattr(part, "of_image", lambda content: seen)
    labels = [looked_up(hit.article_id) for hit in asked.search(image=b"a picture", top=5)]
    assert sum((row["product_type_name"], row["colour_group_name"]) == ("Dress", "Red") for row in labels) >= 4
    words = part.of_text(part.text_encoder.encode(["blue"]))
    nearest = np.argsort(-part.values @ (words + seen))[:5]  # both of length 1
    both = [hit.article_id for hit in asked.search("blue", b"a picture", top=5)]
    assert both == part.vectors.article_ids.take(nearest).to_pylist()
    assert both != [hit.article_id for hit in asked.search("blue", top=5)]


def torch_row(features: np.ndarray):
    import torch

    return torch.from_numpy(features[None])


@pytest.mark.parametrize(
    ("method", "question", "complaint"),
    [
        ("minilm", {"image": b"x"}, "method minilm takes no image; one that does: cosine_efficientnet_lite0, "),
        ("minilm", {}, "nothing to look for: give a text, a picture or both"),
        ("minilm", {"text": " \n"}, "nothing to look for: the text is empty"),
        ("minilm", {"text": "x", "top": 101}, "top 101: not from 1 to 100"),
    ],
)
def test_what_cannot_be_asked_is_one_line(data: Path, method: str, question: dict, complaint: str) -> None:
    with pytest.raises(JobError, match=complaint):
        search(data, method).search(**question)


def test_the_command_line(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    places = ["--warehouse", str(data / "warehouse"), "--data", str(data)]
    places += ["--out", str(tmp_path / "s.png")]
    assert query.main(["--text", "green hat", "--top", "4", *places]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["rank", "article", "name", "type", "colour", "score"]
    assert "Green Hat no" in lines[1] and len(lines) == 6
    assert lines[5] == f"4 articles by minilm; sheet: {tmp_path / 's.png'}"
    assert Image.open(tmp_path / "s.png").width > 500
    assert query.main(["--text", "green hat", "--method", "joint", *places]) == 0
    assert "10 articles by joint" in capsys.readouterr().out
    for arguments, complaint in (
        ([], "nothing to look for: give --text, --image or both"),
        (["--text", ""], "nothing to look for: the text is empty"),
        (
            ["--text", "x", "--method", "cosine_catalogue"],
            "method cosine_catalogue takes no text; one that does: tfidf",
        ),
        (["--text", "x", "--method", "roberta"], "its text encoder roberta was never fitted on these texts"),
        (["--text", "x", "--method", "joint", "--mapping", "completejourney"], "its heads were never trained"),
    ):
        assert query.main([*places, *arguments]) == 2
        assert complaint in capsys.readouterr().err


def test_the_sum_of_both_is_what_there_is_of_it() -> None:
    import pyarrow as pa

    images = Vectors(pa.array(["a", "b"]), np.array([[2, 0], [0, 3]], np.float32), "i")
    words = Vectors(pa.array(["b", "c"]), np.array([[1, 0], [0, 5]], np.float32), "t")
    found = summed(images, words)
    assert found.article_ids.to_pylist() == ["a", "b", "c"] and found.encoder == "i+t"
    np.testing.assert_allclose(found.values, [[1, 0], [0.5**0.5, 0.5**0.5], [0, 1]], rtol=1e-6)


def test_texts_of_the_same_space_meet_pictures_after_pca() -> None:
    rng = np.random.default_rng(0)
    features = rng.standard_normal((60, 12)).astype(np.float32) + 2
    features[:, 6:] = features[:, :6] + 1  # six components and the mean hold all of them
    words = rng.standard_normal((5, 12)).astype(np.float32)
    pca = reduction.fit(features)
    pictures = pca.uncentred(pca.apply(features, 6))
    np.testing.assert_allclose(pca.coordinates(words, 6) @ pictures.T, words @ features.T, atol=1e-3)


def test_strange_texts_have_defined_picks(tmp_path: Path) -> None:
    """Of every length and alphabet, an article has a vector if anything is said of it, and picks if they are known."""
    said = [None, "  ", "👗✨", "\0", "x", "NA", "soft " * 2_000, "ein rotes Kleid", "赤いドレス", "<b>Red</b>"]
    named: list[dict[str, object]] = [{"prod_name": name} for name in said]
    described.publish(tmp_path, [*named, *ROWS[:20]])
    for encoder in BY_TEXT:
        run(texts, tmp_path, text_encoder=encoder)
    unheard_of = len(named) + 20
    described.publish(tmp_path, [*named, *ROWS[:20], {"prod_name": "🧦🧦"}])  # tfidf knows no part of it
    found = {}
    for encoder in BY_TEXT:
        run(texts, tmp_path, text_encoder=encoder)
        run(similar_articles, tmp_path, method=encoder)
        stored = DeltaTable(str(tmp_path / "warehouse" / ARTICLE_TEXT_EMBEDDINGS.path)).to_pyarrow_table().to_pylist()
        rows = {row["article_id"]: row for row in stored if row["encoder"].startswith(encoder)}
        assert len(rows) == unheard_of + 1
        for i in range(unheard_of + 1):
            row = rows[described.article_id(i)]
            assert row["text_status"] == ("missing" if i < 2 else "ok")
            assert i < 2 or np.isfinite(row["text_embedding"]).all()
        chosen = picks(tmp_path)[encoder]
        assert all(np.isfinite(row["score"]) and row["similar_article_id"] != row["article_id"] for row in chosen)
        found[encoder] = {int(row["article_id"]) - int(described.article_id(0)) for row in chosen}
    known = set(range(2, unheard_of))
    assert found["minilm"] == {*known, unheard_of}
    assert known >= found["tfidf"] >= known - {2, 3, 4}  # its few dimensions may leave out letters that none shares
