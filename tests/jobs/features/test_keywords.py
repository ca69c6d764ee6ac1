"""From descriptions to gold/article_keywords, by hand-made catalogues."""

from __future__ import annotations

import math
import sys
from datetime import date
from pathlib import Path
from types import SimpleNamespace

import pyarrow as pa
import pytest
from deltalake import DeltaTable

from expectations.articles import ARTICLES
from expectations.keywords import ARTICLE_KEYWORDS
from jobs.features import keywords, phrases
from jobs.platform.errors import JobError
from jobs.platform.job import Job
from jobs.platform.schemas import arrow_schema
from jobs.platform.settings import Settings
from jobs.platform.warehouse import Warehouse

TEXTS = {
    "a": "Long skirt in cotton jersey with a zip.",
    "b": "Top in cotton jersey, 3 buttons.",
    "c": "Top in cotton jersey, 3 buttons.",
    "d": None,
    "e": "",
    "f": "The and of 12 %",
}


def publish(folder: Path, texts: dict[str, str | None]) -> None:
    """silver/articles with these descriptions."""
    columns = {column.name: [None] * len(texts) for column in ARTICLES.columns}
    columns |= {"article_id": [*texts], "article_key": list(range(len(texts))), "detail_desc": [*texts.values()]}
    columns["is_delisted"] = [False] * len(texts)
    rows = pa.table(columns, schema=arrow_schema(ARTICLES))
    Warehouse(str(folder), {"run_id": "test"}).publish_arrow(ARTICLES, rows, {})


def run(folder: Path, **values: object) -> str:
    settings = Settings(as_of_date=date(2020, 9, 16), warehouse=str(folder), **values)
    return keywords.main(Job("features.keywords", settings, keywords.READS, keywords.WRITES))


def found(folder: Path) -> dict[str, list[tuple[str, float]]]:
    """Keywords and scores of each article, in the order of their ranks."""
    rows = DeltaTable(str(folder / ARTICLE_KEYWORDS.path)).to_pyarrow_table().to_pylist()
    by_article: dict[str, list[tuple[str, float]]] = {}
    for row in sorted(rows, key=lambda row: (row["method"], row["article_id"], row["rank"])):
        by_article.setdefault(row["article_id"], []).append((row["keyword"], row["score"]))
        assert row["rank"] == len(by_article[row["article_id"]])
    return by_article


def test_keywords_by_hand(tmp_path: Path) -> None:
    """Of the four distinct texts with or without words, a and b share `cotton jersey`; b is c's too."""
    publish(tmp_path, TEXTS)
    summary = run(tmp_path, run_id="r1")
    rare, common = math.log(5 / 2) + 1, math.log(5 / 3) + 1
    of_a = math.sqrt(3 * rare**2 + 3 * common**2)  # long, skirt, zip; cotton, jersey, cotton jersey
    of_b = math.sqrt(2 * rare**2 + 3 * common**2)
    a = [("long", rare / of_a), ("skirt", rare / of_a), ("zip", rare / of_a), ("cotton jersey", common / of_a)]
    b = [("buttons", rare / of_b), ("top", rare / of_b), ("cotton jersey", common / of_b)]
    approx = {k: [(word, pytest.approx(score)) for word, score in v] for k, v in {"a": a, "b": b, "c": b}.items()}
    assert found(tmp_path) == approx
    assert summary == "tfidf: 10 keywords, 6 different, of 4 descriptions of 5 articles"
    rows = DeltaTable(str(tmp_path / ARTICLE_KEYWORDS.path)).to_pyarrow_table()
    assert {name: set(rows[name].to_pylist()) for name in ("method", "language", "run_id")} == {
        "method": {"tfidf"},
        "language": {"en"},
        "run_id": {"r1"},
    }


def test_phrases_end_at_stop_words_numbers_and_punctuation() -> None:
    of = phrases.Phrases(phrases.stop_words("en"))
    assert of("Soft, wide-fit T-shirt with 2 chest pockets") == [
        "soft", "wide-fit", "t-shirt", "wide-fit t-shirt", "chest", "pockets", "chest pockets",
    ]  # fmt: skip
    assert of("ﬁne knit") == ["fine", "knit", "fine knit"]
    german = phrases.Phrases(phrases.stop_words("de"))
    assert german("Jacke mit Kapuze und Ärmel") == ["jacke", "kapuze", "ärmel"]


def test_a_rerun_commits_nothing_and_a_new_text_replaces_all(tmp_path: Path) -> None:
    publish(tmp_path, TEXTS)
    run(tmp_path)
    version = DeltaTable(str(tmp_path / ARTICLE_KEYWORDS.path)).version()
    assert run(tmp_path, run_id="later").endswith("4 descriptions of 5 articles: up to date")
    assert DeltaTable(str(tmp_path / ARTICLE_KEYWORDS.path)).version() == version
    publish(tmp_path, TEXTS | {"d": "Wool coat."})
    assert "12 keywords" in run(tmp_path)
    assert {word for word, _ in found(tmp_path)["d"]} == {"coat", "wool"}  # one text's phrase is chance


def test_texts_without_a_word_give_no_rows(tmp_path: Path) -> None:
    publish(tmp_path, {"a": None, "b": "", "c": "the 12"})
    assert run(tmp_path) == "tfidf: 0 keywords, 0 different, of 2 descriptions of 2 articles"
    publish(tmp_path, {"a": None})
    assert "of 0 descriptions" in run(tmp_path)
    assert found(tmp_path) == {}


def test_an_unknown_language_is_named_with_those_there_are(tmp_path: Path) -> None:
    publish(tmp_path, TEXTS)
    with pytest.raises(JobError, match=r"language 'xx': no stop words for it; those there are: af, .*, en, .*, zu"):
        run(tmp_path, language="xx")
    with pytest.raises(JobError, match="language 'ja'"):
        run(tmp_path, language="ja")


def test_yake_is_asked_for_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the package one line says what to do; with it, its keywords are a slice of their own."""
    publish(tmp_path, TEXTS)
    run(tmp_path)
    monkeypatch.setitem(sys.modules, "yake", None)
    with pytest.raises(JobError, match=r"yake is not installed; its licence is GPL-3.0.*pip install yake.*tfidf"):
        run(tmp_path, keyword_method="yake")
    asked: dict[str, object] = {}

    class Extractor:
        def __init__(self, **values: object) -> None:
            asked.update(values)

        def extract_keywords(self, text: str) -> list[tuple[str, float]]:
            return [(word, i / 8) for i, word in enumerate(text.split()[:2])]

    monkeypatch.setitem(sys.modules, "yake", SimpleNamespace(KeywordExtractor=Extractor))
    assert run(tmp_path, keyword_method="yake").startswith("yake: ")
    assert (asked["lan"], asked["n"], "the" in asked["stopwords"]) == ("en", 3, True)
    rows = DeltaTable(str(tmp_path / ARTICLE_KEYWORDS.path)).to_pyarrow_table().to_pylist()
    assert [(r["keyword"], r["score"]) for r in rows if (r["method"], r["article_id"]) == ("yake", "b")] == [
        ("top", 0),
        ("in", 0.125),
    ]
    assert sum(r["method"] == "tfidf" for r in rows) == 10
