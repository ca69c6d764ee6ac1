"""Writes how right the tags are into docs/results/tagging.md, from gold/tagging_metrics.

    python -m jobs.tagging.report --as-of-date 2020-09-23 --warehouse warehouse

Not a task of a DAG. The rest of the page is written by hand.
"""

from __future__ import annotations

from expectations.tagging import TAGGING_METRICS
from jobs.evaluation.docs_section import write_section
from jobs.platform.errors import JobError
from jobs.platform.job import Job, run
from jobs.tagging.figures import TagFigure, card

READS, WRITES = (TAGGING_METRICS,), ()
SETTINGS = ()

PAGE, SECTION = "tagging.md", "tagger"
#: Accuracies that others report on Fashion Product Images, held out one by one.
PUBLISHED = {
    "gender": "0.89 to 0.92",
    "masterCategory": "0.98 to 0.99",
    "subCategory": "0.92 to 0.97",
    "articleType": "0.82",
    "baseColour": "0.63",
    "season": "0.65",
    "usage": "0.87",
}


def main(job: Job) -> str:
    there = job.exists(TAGGING_METRICS)
    rows = job.read_arrow(TAGGING_METRICS, where={"report": ["tagger"]}).to_pylist() if there else []
    if not rows:
        raise JobError(f"{TAGGING_METRICS.path} has no figures of a tagger; run tagging.train first")
    figures = [TagFigure(**{name: row[name] for name in TagFigure._fields}) for row in rows]
    published = PUBLISHED if {figure.label for figure in figures} <= set(PUBLISHED) else None
    articles = max(figure.articles for figure in figures)
    text = f"Up to {articles:,} held-out articles a label.\n\n{card(figures, published)}"
    return f"wrote {write_section(PAGE, SECTION, text)}"


if __name__ == "__main__":
    run(main, reads=READS, writes=WRITES, settings=SETTINGS)
