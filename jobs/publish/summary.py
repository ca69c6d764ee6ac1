"""Summary of a run: tables, metrics, the gate's decision, example recommendations, and next steps.

Not a task of the DAG: `python -m jobs.publish.summary --as-of-date 2020-09-16 --warehouse warehouse` reads tables only.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import pyarrow as pa
import pyarrow.compute as pc
from rich.console import Console, Group, RenderableType
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table

from expectations.articles import ARTICLES
from expectations.baskets import BOUGHT_TOGETHER
from expectations.contract import Contract
from expectations.customers import CUSTOMERS
from expectations.embeddings import ARTICLE_EMBEDDINGS
from expectations.evaluation import EVALUATION_METRICS, MODEL_DECISIONS, POOLED, REALISED_PERFORMANCE
from expectations.features import CUSTOMER_FEATURES
from expectations.recommendations import BASELINE, RECOMMENDATIONS
from expectations.registry import CONTRACTS
from expectations.transactions import QUARANTINE
from jobs.baskets.rules import both_in_words
from jobs.evaluation.funnel import CEILING
from jobs.evaluation.funnel import PREFIX as CANDIDATES_PREFIX
from jobs.evaluation.protocol import ALL_BUYERS, HEADLINE_K
from jobs.platform.errors import JobError
from jobs.platform.job import Job, run
from jobs.retrieval.purchases import still_there

READS, WRITES = tuple(CONTRACTS.values()), ()
SETTINGS = ()

WIDTH = 120
#: Example recommendations per customer: two customers with history, then one without; ten in all.
EXAMPLES = (4, 3, 3)
#: Figures shown per system: metric, cut-off, heading.
SHOWN = (
    ("map", 12, "MAP@12"),
    ("recall", 10, "recall@10"),
    ("precision", 10, "precision@10"),
    ("ndcg", 10, "NDCG@10"),
    ("recall", 100, "recall@100"),
    ("coverage", 12, "coverage@12"),
)
#: Likewise of the candidates.
FUNNEL_SHOWN = (
    ("candidates_per_customer", 0, "per buyer"),
    ("recall", 10, "recall@10"),
    ("recall", 100, "recall@100"),
    ("candidate_recall", 0, "recall"),
    ("unique_recall", 0, "unique recall"),
    ("map", 12, "MAP@12"),
    (CEILING, 12, "best order"),
)


def grid(*headings: str, rows: Iterable[Iterable[object]], numbers: Iterable[int] = ()) -> Table:
    """A table of text; columns in `numbers` are set to the right."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    right = set(numbers)
    for i, heading in enumerate(headings):
        table.add_column(heading, justify="right" if i in right else "left", overflow="fold")
    for row in rows:
        table.add_row(*[escape(str(cell)) for cell in row])
    return table


def tables(job: Job) -> RenderableType:
    """Every table that exists: rows as of this date, all rows, version."""
    rows = []
    for contract in (c for c in CONTRACTS.values() if job.exists(c)):
        narrow = next((c.name for c in contract.columns if c.type != "string"), contract.column_names[0])
        values = job.read_arrow(contract, [narrow])[narrow]
        dated = narrow == "as_of_date"
        mine = pc.sum(pc.equal(values, pa.scalar(job.settings.as_of_date))).as_py() or 0 if dated else None
        rows.append([contract.path, "" if mine is None else f"{mine:,}", f"{len(values):,}", job.version(contract)])
    return grid("table", "rows of this as-of date", "rows", "version", rows=rows, numbers=(1, 2, 3))


def figures(job: Job, contract: Contract) -> RenderableType:
    """The figures of every system over all buyers, and the headline by group of buyers and by week."""
    found = _of_run(job, contract)
    if not found:
        return "No figures: nothing was published for that week, or nothing was bought in it."
    value = {(r["fold"], r["system"], r["slice"], r["metric"], r["k"]): r for r in found}
    weeks = sorted({r["fold"] for r in found} - {POOLED})
    whole = POOLED if any(r["fold"] == POOLED for r in found) else weeks[0]
    systems = [s for s in dict.fromkeys(r["system"] for r in found) if not s.startswith(CANDIDATES_PREFIX)]
    buyers = value[whole, systems[0], ALL_BUYERS, "buyers", 0]["value"]
    shown = [s for s in SHOWN if any((whole, system, ALL_BUYERS, *s[:2]) in value for system in systems)]

    def cell(fold: str, system: str, group: str, metric: str, k: int, has_interval: bool = False) -> str:
        row = value.get((fold, system, group, metric, k))
        if row is None:
            return "-"
        between = f" ({row['ci_low']:.4f}-{row['ci_high']:.4f})" if has_interval else ""
        return f"{row['value']:.4f}{between}"

    overall = grid(
        "system",
        *[heading for *_, heading in shown],
        rows=[
            [system, *[cell(whole, system, ALL_BUYERS, metric, k, metric == "map") for metric, k, _ in shown]]
            for system in systems
        ],
        numbers=range(1, len(shown) + 1),
    )
    groups = [g for g in dict.fromkeys(r["slice"] for r in found) if g != ALL_BUYERS]
    parts = [(group, whole, group) for group in groups]
    if whole == POOLED:
        parts += [(f"week from {fold}", fold, ALL_BUYERS) for fold in weeks]
    main_ones = [system for system in systems if "/" not in system]
    by_part = grid(
        "MAP@12 by group of buyers, of purchases, by week",
        *main_ones,
        rows=[[name, *[cell(fold, s, group, "map", HEADLINE_K) for s in main_ones]] for name, fold, group in parts],
        numbers=range(1, len(main_ones) + 1),
    )
    head = f"Label weeks from {', '.join(weeks)}: {buyers:,.0f} buyers; in brackets 95 % customer bootstrap intervals."
    return Group(head, overall, "", by_part)


def funnel(job: Job) -> RenderableType:
    """What each candidate source found, and what the ranker made of it."""
    pooled = [r for r in _of_run(job, EVALUATION_METRICS) if r["fold"] == POOLED and r["slice"] == ALL_BUYERS]
    value = {(r["system"], r["metric"], r["k"]): r["value"] for r in pooled}
    systems = [s for s in dict.fromkeys(r["system"] for r in pooled) if s.startswith(CANDIDATES_PREFIX)]
    if not systems:
        return "No figures of candidates for this as-of date."
    rows = [
        [
            system.removeprefix(CANDIDATES_PREFIX),
            *[f"{value[system, *key]:.4f}" if (system, *key) in value else "-" for *key, _ in FUNNEL_SHOWN],
        ]
        for system in systems
    ]
    return grid("candidates", *[heading for *_, heading in FUNNEL_SHOWN], rows=rows, numbers=range(1, 8))


def verdict(job: Job) -> RenderableType:
    """The gate's decision of this run, and what the recommendations came from."""
    said = "No verdict for this as-of date."
    for row in _of_run(job, MODEL_DECISIONS):
        word = "[green]promoted[/]" if row["is_promoted"] else "[yellow]not promoted[/]"
        what = f"{escape(row['model_name'])} version {row['model_version']} was {word}"
        if row["model_version"] == BASELINE:
            what = f"{escape(row['model_name'])}: [yellow]nothing to promote[/]"
        said = f"{what}: {escape(row['reason'])}."
    return Group(said, published(job))


def published(job: Job) -> str:
    """How many picks the versions and the baselines made, and whether the champion was among them."""
    picks, longest, customers = Counter[str](), 0, 0
    as_of = job.settings.as_of_date
    for batch in job.read_batches(RECOMMENDATIONS, ["rank", "model_version"], where={"as_of_date": [as_of]}):
        picks += Counter({v["values"]: v["counts"] for v in batch["model_version"].value_counts().to_pylist()})
        longest = max(longest, pc.max(batch["rank"]).as_py() or 0)
        customers += pc.sum(pc.equal(batch["rank"], 1)).as_py() or 0
    total = picks.total()
    shares = ", ".join(
        f"{'baselines' if version == BASELINE else f'version {version}'} {count / total:.0%}"
        for version, count in picks.most_common()
    )
    said = f"Published: {total:,} picks for {customers:,} customers, {longest} each at most: {shares}."
    rows = job.read_arrow(MODEL_DECISIONS).to_pylist() if job.exists(MODEL_DECISIONS) else []
    promoted = {row["as_of_date"]: row["model_version"] for row in rows if row["is_promoted"]}
    champion = promoted[max(days)] if (days := [day for day in promoted if day <= as_of]) else None
    if champion is not None and champion not in picks:
        said += f" [red]The champion, version {champion}, made none of them[/]: the log of ranking.score says why."
    return said


def images(job: Job) -> RenderableType:
    """Image embeddings: how many articles of each status, per encoder version."""
    if not job.exists(ARTICLE_EMBEDDINGS):
        return "No images: the model runs without them."
    counts = job.read_arrow(ARTICLE_EMBEDDINGS, ["encoder", "image_status"]).group_by(["encoder", "image_status"])
    rows = sorted(
        (r["encoder"], r["image_status"], r["count_all"]) for r in counts.aggregate([([], "count_all")]).to_pylist()
    )
    if not rows:
        return "No images: the model runs without them."
    return grid("encoder", "image", "articles", rows=[(e, s, f"{n:,}") for e, s, n in rows], numbers=(2,))


def quarantine(job: Job) -> RenderableType:
    """Quarantined rows, by table and reason."""
    keys = ["table_name", "reason"]
    if not job.exists(QUARANTINE) or not (rows := job.read_arrow(QUARANTINE, keys)).num_rows:
        return "No row was quarantined."
    counts = rows.group_by(keys).aggregate([([], "count_all")]).to_pylist()
    ordered = sorted(counts, key=lambda r: (r["table_name"], -r["count_all"], r["reason"]))
    return grid(
        "meant for", "reason", "rows", rows=[(r["table_name"], r["reason"], f"{r['count_all']:,}") for r in ordered],
        numbers=(2,),
    )  # fmt: skip


def examples(job: Job) -> RenderableType:
    """Ten recommendations with article names: two customers with history, one without."""
    as_of = {"as_of_date": [job.settings.as_of_date]}
    warm = job.read_arrow(CUSTOMER_FEATURES, ["customer_id"], where=as_of)["customer_id"].combine_chunks()
    customers = job.read_arrow(CUSTOMERS, ["customer_id", "left_date"])
    everyone = still_there(customers, "left_date", job.settings.as_of_date)["customer_id"].combine_chunks()
    warm = warm.filter(pc.is_in(warm, value_set=everyone))
    cold = everyone.filter(pc.invert(pc.is_in(everyone, value_set=warm)))
    newcomers = _smallest(cold, 1)
    chosen = [*_smallest(warm, 2), *newcomers]
    columns = ["customer_id", "rank", "article_id", "source", "reason", "model_version"]
    picks = job.read_arrow(RECOMMENDATIONS, columns, where=as_of | {"customer_id": chosen}).to_pylist()
    wanted = list({pick["article_id"] for pick in picks})
    labels = ["article_id", "prod_name", "product_type_name", "colour_group_name"]
    article = {a["article_id"]: a for a in job.read_arrow(ARTICLES, labels, where={"article_id": wanted}).to_pylist()}
    rows = []
    for customer, places in zip(chosen, EXAMPLES, strict=False):
        mine = sorted((p for p in picks if p["customer_id"] == customer), key=lambda p: p["rank"])[:places]
        for pick in mine:
            label = article[pick["article_id"]]
            name = ", ".join(str(label[field]) for field in labels[1:] if label[field])
            new = " (new)" if customer in newcomers else ""
            rows.append([f"{customer[:12]}{new}", pick["rank"], pick["article_id"], name, pick["reason"],
                         pick["source"], pick["model_version"]])  # fmt: skip
    return grid("customer", "rank", "article", "name", "reason", "source", "model", rows=rows, numbers=(1,))


def together(job: Job) -> RenderableType:
    """Of the five articles that most customers bought beside another, with whom."""
    if not job.exists(BOUGHT_TOGETHER):
        return "Not looked at: run baskets.bought_together."
    columns = ["article_id", "other_article_id", "customer_count", "last_date"]
    where = {"as_of_date": [job.settings.as_of_date], "level": ["article"]}
    rows = job.read_arrow(BOUGHT_TOGETHER, columns, where=where)
    pairs = rows.filter(pc.less(rows["article_id"], rows["other_article_id"]))  # each stands there both ways, mostly
    order = [("customer_count", "descending"), ("article_id", "ascending"), ("other_article_id", "ascending")]
    most = pairs.take(pc.sort_indices(pairs, order)[:5]).to_pylist()
    if not most:
        return "No two articles were bought together often enough."
    wanted = list({row[name] for row in most for name in columns[:2]})
    names = job.read_arrow(ARTICLES, ["article_id", "prod_name"], where={"article_id": wanted}).to_pylist()
    named = {row["article_id"]: f"{row['article_id']} {row['prod_name'] or ''}".strip() for row in names}
    said = [[*(named[row[name]] for name in columns[:2]), both_in_words(row["customer_count"]), row["last_date"]]
            for row in most]  # fmt: skip
    return grid("article", "beside it", "why", "last on", rows=said)


def snippet(job: Job) -> str:
    """Python that queries the recommendations with DuckDB, without Spark and without the network."""
    return f'''import duckdb
from deltalake import DeltaTable

week = "as_of_date = '{job.settings.as_of_date}'"
recommendations = DeltaTable({job.warehouse.uri(RECOMMENDATIONS)!r}).scan(predicate=week)
articles = DeltaTable({job.warehouse.uri(ARTICLES)!r}).scan(["article_id", "prod_name"])
print(duckdb.sql("""
    SELECT customer_id, rank, article_id, prod_name, reason
    FROM recommendations JOIN articles USING (article_id)
    ORDER BY customer_id, rank LIMIT 12
"""))'''  # noqa: S608 (text for the reader)


def going_on(job: Job) -> RenderableType:
    """How to query the tables and open the user interfaces."""
    return Group(
        "Query any table with DuckDB (in .venv/jobs/bin/python):",
        Padding(escape(snippet(job)), (0, 0, 0, 4)),
        "Look at runs, logs and models: `make up` starts Airflow and MLflow on 127.0.0.1 and prints their addresses.",
    )


def _of_run(job: Job, contract: Contract) -> list[dict]:
    if not job.exists(contract):
        return []
    return job.read_arrow(contract, where={"as_of_date": [job.settings.as_of_date]}).to_pylist()


def _smallest(ids: pa.Array, count: int) -> list[str]:
    return ids.take(pc.array_sort_indices(ids)[:count]).to_pylist()


def main(job: Job) -> str:
    settings = job.settings
    if (
        not job.exists(RECOMMENDATIONS)
        or not job.read_arrow(RECOMMENDATIONS, ["rank"], where={"as_of_date": [settings.as_of_date]}).num_rows
    ):
        raise JobError(
            f"{job.warehouse.uri(RECOMMENDATIONS)}: nothing published for {settings.as_of_date}; run the DAG"
        )
    console = Console(width=WIDTH, highlight=False)
    sections = {
        "Tables": tables(job),
        "Evaluation: the new model, the champion and the baselines": figures(job, EVALUATION_METRICS),
        "Candidates: what each source finds, and how the ranker orders them": funnel(job),
        "Promotion gate": verdict(job),
        "Realised performance of the recommendations published a week earlier": figures(job, REALISED_PERFORMANCE),
        "Images": images(job),
        "Quarantined rows": quarantine(job),
        "Ten recommendations": examples(job),
        "Bought together": together(job),
        "Next steps": going_on(job),
    }
    for title, content in sections.items():
        console.rule(f"[bold]{title}", align="left")
        console.print(content, "")
    return f"run of {settings.as_of_date}, tables in {job.warehouse.root}"


if __name__ == "__main__":
    run(main, reads=READS, writes=WRITES, settings=SETTINGS)
