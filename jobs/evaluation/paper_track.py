"""The paper's own protocol beside the weekly one: both stages trained jointly, judged on a 70/15/15 split by time.

Source: "Fashion Recommendation System: A Hybrid Deep Learning Approach", steps 4 to 6 and its metrics. Purchases are
split by time; each has four uniform negatives that its customer never bought; the ranker sees no pair features. Figures
are AUC, precision and recall of such pairs, and precision, recall and NDCG of the 30 articles recommended: retrieved by
dot product, ranked, with and without what the customer bought before.

What the paper leaves open is decided for honesty: a purchase sees features as of the first day of its part, never of
days to come. So the first 70 % are history, and in their last part, as long as the others, purchases to learn from.

    python -m jobs.evaluation.paper_track --as-of-date 2020-09-23

Not a task of a DAG. It needs features as of the first day of each part, and names those that are missing.

The networks are fitted on one device, the first GPU where there is one.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import mlflow
import numpy as np
import pytorch_lightning as pl
import torch

from expectations.evaluation import PAPER_TRACK_METRICS
from expectations.tagging import ARTICLE_TAGS
from jobs.embeddings.versions import current_encoder
from jobs.evaluation.figures import figures_table
from jobs.evaluation.protocol import ALL_BUYERS, RANKING_KS, Figure
from jobs.metrics.bootstrap import bootstrap_means, interval
from jobs.metrics.ranking_metrics import Truth, hit_ranks, ndcg, precision, recall
from jobs.platform.codes import NO_ARTICLE, Ints
from jobs.platform.errors import JobError
from jobs.platform.job import Job, run
from jobs.platform.lightning import RunLogger, batch_size_for, fit
from jobs.platform.progress import track
from jobs.platform.settings import Settings
from jobs.platform.tracking import start_run
from jobs.ranking.candidate_retrieval import BLOCK_SIZE, as_tensor
from jobs.ranking.fit import fit_entities
from jobs.ranking.fitted_inputs import Inputs
from jobs.ranking.pairs import Tastes
from jobs.ranking.snapshot import SNAPSHOT_TABLES, Snapshot, SnapshotLoader, require_features
from jobs.ranking.training_set import WeekPairs, pair_tensors, purchase_pairs
from jobs.retrieval.purchases import Purchases, day_number, load_purchases
from lightning_modules.pairs import BatchSlices, PairDataModule, PairTensors
from lightning_modules.two_stage import TwoStageRecommender

READS, WRITES = SNAPSHOT_TABLES, (PAPER_TRACK_METRICS,)
SETTINGS = ("accept_drift", "data", "mapping", "encoder", "embedding_dim", "max_epochs", "seed", "mlflow_tracking_uri")
#: Tags fill in attributes that the catalogue does not state, where there are any.
READS_EARLIER_RUNS = (ARTICLE_TAGS,)

#: Shares of all purchases before the first day of the parts to learn from, to validate on and to test on.
SHARES = (0.55, 0.70, 0.85)
#: Buyers of a part at most, drawn at random.
MOST_BUYERS = 50_000
RETRIEVED, RECOMMENDED = 100, max(RANKING_KS)
#: Where features are missing.
ADVICE = "run features.customers, features.articles and features.interactions with --as-of-date of each first"
SYSTEM, SYSTEM_NEW, SAMPLED_PAIRS = "two_stage_joint", "two_stage_joint_exclude_bought", "sampled_pairs"


def split_dates(purchases: Purchases, as_of_date: date) -> list[date]:
    """First days of the parts, a whole number of weeks before the as-of date, which ends the last one.

    Raises JobError when the purchases do not reach over three weeks.
    """
    days = purchases.day[(np.array(SHARES) * len(purchases)).astype(int)]
    weeks = [int(week) for week in np.rint((day_number(as_of_date) - days) / 7)]
    if not weeks[0] > weeks[1] > weeks[2] > 0:
        raise JobError(f"silver/transactions: too few weeks before {as_of_date} to split into training and test")
    return [as_of_date - timedelta(weeks=week) for week in weeks]


def bought_in(purchases: Purchases, start: date, end: date, seed: int) -> Purchases:
    """Purchases of [start, end) by at most MOST_BUYERS of its buyers."""
    labels = purchases.between(start, end)
    buyers = np.unique(labels.customer)
    if len(buyers) <= MOST_BUYERS:
        return labels
    return labels.where(
        np.isin(labels.customer, np.random.default_rng(seed).choice(buyers, MOST_BUYERS, replace=False))
    )


def labelled(snapshot: Snapshot, labels: Purchases, seed: int) -> WeekPairs:
    """Purchases and four uniform negatives for each, which the paper does not correct for their rate."""
    pairs = purchase_pairs(snapshot, labels, np.random.default_rng(seed))
    return replace(pairs, log_sampling_rate=np.zeros_like(pairs.log_sampling_rate))


def pair_figures(network: TwoStageRecommender, test: PairTensors) -> list[Figure]:
    """AUC, and precision and recall at a probability of a half, of labelled pairs."""
    for metric in network.ranker.metrics.values():
        metric.reset()  # type: ignore[operator]
    with torch.inference_mode():
        for batch in BatchSlices(test, 4096, 0):
            network.ranker.judge(network.ranker(batch), batch["label"])
    values = {name: float(metric.compute()) for name, metric in network.ranker.metrics.items()}  # type: ignore[operator]
    return [Figure(SYSTEM, SAMPLED_PAIRS, metric, 0, value) for metric, value in {**values, "pairs": len(test)}.items()]


def recommend(
    network: TwoStageRecommender, inputs: Inputs, snapshot: Snapshot, customers: Ints, exclude_bought: bool
) -> Ints:
    """The RECOMMENDED best of the RETRIEVED articles on sale with the largest dot product, (n, RECOMMENDED)."""
    articles = inputs.article_inputs(snapshot).tensors(torch.device("cpu"))
    recommended = []
    with torch.inference_mode():
        items, branch = network.two_tower.item_tower(*articles), network.ranker.article_branch(*articles)
        for start in track(range(0, len(customers), BLOCK_SIZE), "recommending"):
            block = customers[start : start + BLOCK_SIZE]
            numeric, categories = inputs.customer_inputs(snapshot, Tastes.of(snapshot, block))
            customer = as_tensor(numeric), as_tensor(categories)
            excluded = np.repeat(~snapshot.on_sale[None, :], len(block), axis=0)
            if exclude_bought:
                excluded[snapshot.weights[block].nonzero()] = True
            scores = (network.two_tower.query_tower(*customer) @ items.T).masked_fill(as_tensor(excluded), -torch.inf)
            best, article = scores.topk(min(RETRIEVED, scores.shape[1]), dim=1)
            odds = network.ranker.join(
                network.ranker.customer_branch(*customer)[:, None], branch[article], torch.empty(*article.shape, 0)
            ).masked_fill(best.isinf(), -torch.inf)
            order = odds.argsort(dim=1, descending=True, stable=True)
            ranked = article.masked_fill(best.isinf(), NO_ARTICLE).gather(1, order)[:, :RECOMMENDED]
            recommended.append(ranked.numpy().astype(np.int32))
    return np.concatenate(recommended)


def list_figures(system: str, ranked: Ints, truth: Truth, seed: int) -> list[Figure]:
    """Precision, recall and NDCG at RANKING_KS with 95 % customer bootstrap intervals.

    ndcg_of_k is the paper's: the ideal list has k hits, whatever was bought.
    """
    found, gains = hit_ranks(ranked, truth), np.cumsum(1 / np.log2(np.arange(2, max(RANKING_KS) + 2)))
    columns = {}
    for k in RANKING_KS:
        columns["precision", k], columns["recall", k] = precision(found, truth, k), recall(found, truth, k)
        columns["ndcg", k] = ndcg(found, truth, k)
        columns["ndcg_of_k", k] = columns["ndcg", k] * gains[np.minimum(truth.sizes, k) - 1] / gains[k - 1]
    values = np.column_stack(list(columns.values()))
    low, high = interval(bootstrap_means(truth.customers, values, seed))
    figures = [
        Figure(system, ALL_BUYERS, metric, k, float(values[:, i].mean()), float(low[i]), float(high[i]))
        for i, (metric, k) in enumerate(columns)
    ]
    return [*figures, Figure(system, ALL_BUYERS, "buyers", 0, len(truth.customers))]


def follow(
    loader: SnapshotLoader,
    purchases: Purchases,
    encoder: str | None,
    settings: Settings,
    folder: Path,
    logger: RunLogger | None = None,
) -> tuple[list[Figure], date]:
    """Train on the first part, validate on the second and judge on the third; the figures, and where it starts.

    Args:
        folder: of the fit's checkpoints.
    """
    starts = split_dates(purchases, settings.as_of_date)
    bounds = list(pairwise([*starts, settings.as_of_date]))
    labels = [bought_in(purchases, *bound, settings.seed) for bound in bounds]
    parts = [labelled(loader.at(start), bought, settings.seed) for start, bought in zip(starts, labels, strict=True)]
    inputs = fit_entities(parts[:1], encoder)
    training, validation, test = (pair_tensors([part], inputs) for part in parts)
    pl.seed_everything(settings.seed, verbose=False)
    snapshot, truth = parts[-1].snapshot, Truth.of(labels[-1])
    network = TwoStageRecommender(**inputs.sizes(snapshot.images.shape[1]))
    data = PairDataModule(training, validation, batch_size_for(len(training)), settings.seed)
    network, _ = fit(network, data, settings.max_epochs, folder, "val/ranking_loss", logger)
    figures = pair_figures(network, test)
    for system, exclude_bought in ((SYSTEM, False), (SYSTEM_NEW, True)):
        ranked = recommend(network, inputs, snapshot, truth.customers, exclude_bought)
        figures += list_figures(system, ranked, truth, settings.seed)
    return figures, starts[-1]


def main(job: Job) -> str:
    settings = job.settings
    with start_run(settings, job.name) as active, TemporaryDirectory() as folder:
        encoder = current_encoder(settings)
        purchases = load_purchases(job, before=settings.as_of_date)
        require_features(job, split_dates(purchases, settings.as_of_date), ADVICE)
        logger = RunLogger(active.info.run_id)
        loader = SnapshotLoader(job, purchases, encoder)
        figures, start = follow(loader, purchases, encoder, settings, Path(folder), logger)
        mlflow.log_metrics(
            {f"paper/{f.system}/{f.slice}/{f.metric}" + (f"_at_{f.k}" if f.k else ""): f.value for f in figures}
        )
        table = figures_table(
            figures, PAPER_TRACK_METRICS, as_of_date=settings.as_of_date, fold_start=start, run_id=settings.run_id
        )
        job.publish(PAPER_TRACK_METRICS, table, replace={"as_of_date": [settings.as_of_date]})
    values = {(f.system, f.metric, f.k): f.value for f in figures}
    at_10 = ", ".join(f"{metric}@10 {values[SYSTEM_NEW, metric, 10]:.4f}" for metric in ("precision", "recall", "ndcg"))
    return (
        f"tested on purchases from {start}: AUC {values[SYSTEM, 'auc', 0]:.3f} of sampled pairs; new articles {at_10}"
    )


if __name__ == "__main__":
    run(main, reads=READS + READS_EARLIER_RUNS, writes=WRITES, settings=SETTINGS)
