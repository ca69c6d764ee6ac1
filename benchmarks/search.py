"""Search by words and similar articles by text at a catalogue's full size: time, memory, and how exact the index is.

Beside faiss's exact scan of the same vectors. Each contestant runs in a process of its own, searches on one core.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

from benchmarks.contest import RESULTS, ROOT, machine, measure
from benchmarks.fashion_mnist import write_section

MODULE = "benchmarks.search_contestants"
PAGE, SECTION, RESULT = ROOT / "docs" / "results" / "similarity.md", "search", RESULTS / "search.json"
#: Contestants: on one core, and on all.
QUERIES = ("minilm", "joint", "tfidf", "fused", "faiss")
BATCHES = ("texts", "tfidf_picks", "picture_picks", "minilm_picks", "joint_fit")


def run(articles: int) -> None:
    """Measure all of them on as many articles and write both tables."""
    found: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory(prefix="atelier-bench-") as folder:
        for name in (*BATCHES, *QUERIES):
            file = Path(folder) / f"{name}.json"
            command = [sys.executable, "-m", MODULE, name, str(articles), folder, str(file)]
            result = measure(command, 1 if name in QUERIES else None)
            found[name] = json.loads(file.read_text()) | {"peak_mib": result.peak_memory_mib}
            print(name, found[name], flush=True)
    RESULT.write_text(json.dumps({"articles": articles, **found}, indent=1) + "\n")
    text = page(articles, found)
    write_section(PAGE, SECTION, text)
    print(text)


def page(articles: int, found: dict[str, dict[str, float]]) -> str:
    """The section: questions on one core, then what a run of the jobs takes on all."""
    what = {
        "minilm": "minilm: MiniLM, 384 numbers an article",
        "joint": "joint: MiniLM and a head, 256 numbers",
        "tfidf": "tfidf: 256 numbers",
        "fused": "fused: the three above, by ranks",
        "faiss": "faiss's exact scan of joint's vectors, the question a vector already",
    }
    lines = [
        f"{articles:,} articles. Questions of two to six words, one after the other, on one core;"
        " opened is from vectors in memory to the first answer.",
        "",
        "| question | median ms | 95 of 100 within ms | opened in s | peak MiB |",
        "|---|---|---|---|---|",
    ]
    for name in QUERIES:
        row = found[name]
        cells = f"{row['median_ms']:.1f} | {row['p95_ms']:.1f} | {row['opened_s']:.1f} | {row['peak_mib']:.0f}"
        lines.append(f"| {what[name]} | {cells} |")
    texts, tfidf, picture, minilm, fit = (found[name] for name in BATCHES)
    rate = texts["texts"] / texts["seconds"]
    lines += [
        "",
        "| on all cores | seconds | peak MiB | |",
        "|---|---|---|---|",
        f"| MiniLM on {texts['texts']:,.0f} of the catalogue's texts | {texts['seconds']:.0f} |"
        f" {texts['peak_mib']:.0f} | {rate:.0f} texts a second; mean {texts['characters']:.0f} characters |",
        f"| TF-IDF fitted, all texts embedded | {tfidf['seconds']:.0f} | {tfidf['peak_mib']:.0f} | |",
        f"| 12 picks of every article by HNSW, 256 numbers | {tfidf['picks_seconds']:.0f} | {tfidf['peak_mib']:.0f} |"
        f" recall@12 against exact search {tfidf['recall']:.4f} |",
        f"| the same by exact search, as picture methods do, 256 numbers | {picture['seconds']:.0f} |"
        f" {picture['peak_mib']:.0f} | {picture['rows']:,.0f} picks |",
        f"| the same by exact search, as minilm does, 384 numbers | {minilm['seconds']:.0f} |"
        f" {minilm['peak_mib']:.0f} | {minilm['rows']:,.0f} picks |",
        f"| joint heads, one epoch | {fit['seconds']:.0f} | {fit['peak_mib']:.0f} | of {fit['epochs']:.0f} at most |",
        "",
        f"Machine: {machine()}. Command: `make bench-search`.",
    ]
    return "\n".join(lines)
