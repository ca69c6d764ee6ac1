"""The page of a run, for the business and for who looks after it: `<warehouse>/reports/<as_of_date>/index.html`.

One HTML file that needs nothing but itself. It shows aggregates of at least ten customers, and the lists of ten
customers without their ids. The tables behind it are gold/business_metrics, customer_segments, descriptive_statistics,
evaluation_metrics, realised_performance, recommendation_performance, model_decisions and silver/quarantine.
"""

from __future__ import annotations

import json
import os
import uuid
from datetime import timedelta

import mlflow
import pyarrow.fs as pafs

from expectations.articles import ARTICLES
from expectations.business import ALL, BUSINESS_METRICS, CUSTOMER_SEGMENTS, DESCRIPTIVE_STATISTICS
from expectations.evaluation import EVALUATION_METRICS, MODEL_DECISIONS, REALISED_PERFORMANCE
from expectations.operations import DELIVERIES
from expectations.performance import RECOMMENDATION_PERFORMANCE
from expectations.recommendations import RECOMMENDATIONS
from expectations.transactions import QUARANTINE, TRANSACTIONS
from jobs.platform import storage
from jobs.platform.errors import JobError
from jobs.platform.job import Job, run
from jobs.platform.tracking import start_run
from jobs.reports import blocks, page_data, sections
from jobs.reports.blocks import Section

READS = (
    BUSINESS_METRICS, CUSTOMER_SEGMENTS, DESCRIPTIVE_STATISTICS, EVALUATION_METRICS, REALISED_PERFORMANCE,
    RECOMMENDATION_PERFORMANCE, MODEL_DECISIONS, QUARANTINE, DELIVERIES, RECOMMENDATIONS, ARTICLES, TRANSACTIONS,
)  # fmt: skip
WRITES = ()
FILES = ("images",)
SETTINGS = ("accept_drift", "data", "mapping", "mlflow_tracking_uri")

#: Folder of the pages below the warehouse.
SITE = "reports"


def page(job: Job) -> str:
    """The page as HTML. Raises JobError where the run has no business metrics."""
    as_of = job.settings.as_of_date
    every = page_data.read(job, BUSINESS_METRICS, {"segment_type": [ALL, *(kind for kind, _ in page_data.DRIFTING)]})
    mine = page_data.read(job, BUSINESS_METRICS, {"as_of_date": [as_of]})
    if not len(mine):
        raise JobError(
            f"{job.warehouse.uri(BUSINESS_METRICS)}: nothing as of {as_of}; run reports.business_metrics first"
        )
    cohorts = page_data.read(job, BUSINESS_METRICS, {"segment_type": ["cohort"]})
    described = page_data.read(job, DESCRIPTIVE_STATISTICS, {"as_of_date": [as_of]})
    found = [
        sections.key_figures(mine),
        sections.sales(every, mine, described),
        sections.customers(job, mine, cohorts),
        sections.recommendations(job, every, mine),
        sections.people(job),
        sections.descriptive(job, described),
        sections.quality(job, every, described),
    ]
    lead = f"What was sold from {as_of - timedelta(days=7)} to {as_of - timedelta(days=1)}; run {job.settings.run_id}."
    return blocks.render(f"Week until {as_of}", lead, found)


def write(root: str, path: str, text: str) -> None:
    """Write a file below reports/ in one step: a reader sees the old one or the new one."""
    files, place = storage.filesystem(f"{root}/{SITE}/{path}")
    files.create_dir(place.rpartition("/")[0])
    is_local = isinstance(files, pafs.LocalFileSystem)
    draft = f"{place}.{uuid.uuid4()}" if is_local else place  # an object is put in one step anyway
    with files.open_output_stream(draft) as stream:
        stream.write(text.encode())
    if is_local:
        os.replace(draft, place)


def index(root: str) -> str:
    """The page that lists all runs' pages, the newest first."""
    files, place = storage.filesystem(f"{root}/{SITE}")
    found = files.get_file_info(pafs.FileSelector(place))
    weeks = sorted((info.base_name for info in found if info.type == pafs.FileType.Directory), reverse=True)
    return blocks.render(
        "Reports", "A page for each week.", [Section("runs", "", [blocks.link(f"{w}/index.html", w) for w in weeks])]
    )


def main(job: Job) -> str:
    settings = job.settings
    with start_run(settings, job.name):
        made = page(job)
        write(job.warehouse.root, f"{settings.as_of_date}/index.html", made)
        write(job.warehouse.root, f"{settings.as_of_date}/run.json", json.dumps([{"run_id": settings.run_id}]))
        write(job.warehouse.root, "index.html", index(job.warehouse.root))
        mlflow.log_text(made, "run.html")
    return f"{job.warehouse.root}/{SITE}/{settings.as_of_date}/index.html ({len(made.encode()) / 2**20:.1f} MiB)"


if __name__ == "__main__":
    run(main, reads=READS, writes=WRITES, settings=SETTINGS)
