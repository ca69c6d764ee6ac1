"""One contestant of benchmarks.search in a process of its own.

python -m benchmarks.search_contestants NAME ARTICLES FOLDER RESULT
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa

from jobs.embeddings.article_text import COLUMNS, full_text

TEXTS, QUESTIONS, CHECKED = 1_000, 200, 2_000
WIDTHS = {"minilm": 384, "joint": 256, "tfidf": 256}


def catalogue(articles: int) -> pa.Table:
    """The sample catalogue's words."""
    from sample_data.catalogue import build

    return (
        build(articles, np.random.SeedSequence(0))
        .frame.select(COLUMNS)
        .to_arrow()
        .cast(pa.schema([(name, pa.string()) for name in COLUMNS]))
    )


def texts(articles: int, folder: Path) -> dict[str, float]:
    from jobs.embeddings.text_encoders import minilm

    words = full_text(catalogue(articles)).to_pylist()[:: articles // TEXTS][:TEXTS]
    encoder = minilm(None)
    encoder.encode(words[:32])
    began = time.perf_counter()
    encoder.encode(words)
    mean = float(np.mean([len(text) for text in words]))
    return {"texts": len(words), "characters": mean, "seconds": time.perf_counter() - began}


def tfidf_picks(articles: int, folder: Path) -> dict[str, float]:
    from jobs.embeddings import tfidf
    from jobs.similarity.approximate import neighbours, recall
    from jobs.similarity.search import nearest

    words = full_text(catalogue(articles)).to_pylist()
    distinct = list(dict.fromkeys(words))
    began = time.perf_counter()
    fitted = tfidf.fit(distinct, seed=0)
    vectors = np.concatenate([fitted.encoder().encode(words[i : i + 4_096]) for i in range(0, len(words), 4_096)])
    embedded = time.perf_counter()
    found, scores = neighbours(vectors, 12)
    done = time.perf_counter()
    fitted.save(folder)
    np.save(folder / "tfidf.npy", vectors)
    rows = np.arange(0, articles, max(articles // CHECKED, 1))
    exact, best = nearest(vectors[rows], vectors, 12, "cosine", exclude=rows)
    # Of equal texts any is as right: what is as near as the twelfth counts.
    hits = (scores[rows] >= best[:, -1:] - 1e-5).mean()
    return {
        "seconds": embedded - began,
        "picks_seconds": done - embedded,
        "recall": float(hits),
        "same_article": recall(found[rows], exact),
    }


def picture_picks(articles: int, folder: Path) -> dict[str, float]:
    """What `similarity.similar_articles` computes by a picture method, whose vectors have 256 numbers."""
    return picks("cosine_efficientnet_lite0_colour", vectors("joint", articles, folder))


def minilm_picks(articles: int, folder: Path) -> dict[str, float]:
    """The same by MiniLM's 384 numbers."""
    return picks("minilm", vectors("minilm", articles, folder))


def picks(name: str, values: np.ndarray) -> dict[str, float]:
    from jobs.similarity.methods import METHODS
    from jobs.similarity.similar_articles import similar
    from jobs.similarity.vectors import Vectors

    ids = pa.array([f"{n:010d}" for n in range(len(values))])
    began = time.perf_counter()
    table = similar(name, METHODS[name], Vectors(ids, values, name))
    return {"seconds": time.perf_counter() - began, "rows": table.num_rows}


def joint_fit(articles: int, folder: Path) -> dict[str, float]:
    """One epoch of the heads on noise, which costs what pictures and texts cost."""
    import torch

    from jobs.embeddings import joint
    from jobs.embeddings.joint_pairs import Split
    from lightning_modules.joint_heads import Pairs

    rng, epochs = torch.Generator().manual_seed(0), joint.EPOCHS
    wordings = torch.randint(articles, (articles, 5), generator=rng)
    features = (torch.randn(articles, size, generator=rng) for size in (256, 384))
    pairs = Pairs(*features, wordings, torch.arange(articles))
    split = Split.of(pa.array([str(n) for n in range(articles)]))
    joint.EPOCHS = 1
    began = time.perf_counter()
    joint.train(pairs, split, 0, folder / "fit")
    return {"seconds": time.perf_counter() - began, "epochs": epochs}


#: What questions to a search are made of.
QUERY_WORDS = (
    "red", "blue", "black", "summer", "winter", "dress", "jacket", "ladies", "mens",
    "cotton", "striped", "jersey", "shoes", "soft", "long",
)  # fmt: skip


def questions() -> list[str]:
    rng = np.random.default_rng(0)
    return [" ".join(rng.choice(QUERY_WORDS, rng.integers(2, 7))) for _ in range(QUESTIONS)]


def search(name: str, articles: int, folder: Path) -> dict[str, float]:
    """A loaded search, asked by words."""
    from jobs.embeddings import tfidf
    from jobs.embeddings.text_encoders import minilm
    from jobs.platform.settings import Settings
    from jobs.similarity.catalogue_search import CatalogueSearch, Part
    from jobs.similarity.methods import METHODS
    from jobs.similarity.spelling import Speller, catalogue_words
    from jobs.similarity.vectors import Vectors
    from lightning_modules.joint_heads import JointHeads

    ids = pa.array([f"{n:010d}" for n in range(articles)])
    words = catalogue(articles)
    names = METHODS[name].parts or (name,)
    values = {part: vectors(part, articles, folder) for part in names}
    began = time.perf_counter()
    encoders = {"tfidf": tfidf.load(folder).encoder()} if "tfidf" in names else {}
    if name != "tfidf":
        encoders["minilm"] = minilm(None, 1)
    parts = []
    for part in names:
        settings = Settings(as_of_date=date(2020, 9, 16), text_encoder=METHODS[part].text_encoder or "minilm")
        made = Part(METHODS[part], settings, Vectors(ids, values[part], part), encoders, threads=1)
        if part == "joint":
            made.heads = JointHeads(256, 384).eval()
        parts.append(made)
    found = CatalogueSearch(name, parts, Speller(catalogue_words(lambda _, columns: words.select(columns))))
    found.search("red dress")
    return {"opened_s": time.perf_counter() - began} | timed(lambda text: found.search(text))


def faiss_scan(articles: int, folder: Path) -> dict[str, float]:
    import faiss

    values = vectors("joint", articles, folder)
    began = time.perf_counter()
    index = faiss.IndexFlatIP(values.shape[1])
    index.add(values)
    asked = iter(values)
    index.search(values[:1], 10)
    return {"opened_s": time.perf_counter() - began} | timed(lambda _: index.search(next(asked)[None], 10))


def vectors(part: str, articles: int, folder: Path) -> np.ndarray:
    if part == "tfidf":
        return np.load(folder / "tfidf.npy")
    found = np.random.default_rng(0).standard_normal((articles, WIDTHS[part]), dtype=np.float32)
    return found / np.linalg.norm(found, axis=1, keepdims=True)


def timed(ask: Callable[[str], object]) -> dict[str, float]:
    took = []
    for text in questions():
        began = time.perf_counter()
        ask(text)
        took.append(1_000 * (time.perf_counter() - began))
    return {"median_ms": float(np.median(took)), "p95_ms": float(np.quantile(took, 0.95))}


def main(name: str, articles: str, folder: str, result: str) -> None:
    batch = {"texts": texts, "tfidf_picks": tfidf_picks, "picture_picks": picture_picks, "minilm_picks": minilm_picks}
    batch["joint_fit"] = joint_fit
    batch["faiss"] = faiss_scan
    asked = batch[name](int(articles), Path(folder)) if name in batch else search(name, int(articles), Path(folder))
    Path(result).write_text(json.dumps(asked))


if __name__ == "__main__":
    main(*sys.argv[1:])
