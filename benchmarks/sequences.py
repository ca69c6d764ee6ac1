"""Sequence recommenders: training through Lightning, as the job does it, beside the bare loop; everybody's picks."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from functools import partial
from itertools import product
from pathlib import Path
from statistics import median

import numpy as np
import pyarrow as pa
import pytorch_lightning as pl
import torch
from torch import Tensor

from benchmarks.contest import Result, medians, publish, shares
from benchmarks.training import SEED, WAYS, timed
from jobs.platform.lightning import fit
from jobs.recommenders import recurrent, self_attentive
from jobs.recommenders.events import events_of
from jobs.recommenders.sequence_model import Sequences
from jobs.retrieval.purchases import Purchases, day_number
from lightning_modules.next_article import DRAWN, FULL_SOFTMAX, NextArticle
from lightning_modules.recurrent import Recurrent
from lightning_modules.self_attentive import SelfAttentive
from lightning_modules.sessions import Cut, EventDataModule, EventTensors

#: Epochs of a fit, and turns of each; their median counts.
EPOCHS, TURNS = 1, 3
#: More articles than are all in a softmax; lines of a customer on average.
ARTICLES, LINES_EACH = FULL_SOFTMAX * 3 // 2, 20
#: Articles picked, and customers at once.
COUNT, BLOCK = 100, 8192
AS_OF = date(2020, 9, 16)
READING = "merged_lines"
#: Each kind of network, and how its job cuts an epoch.
KINDS: dict[str, tuple[Callable[..., NextArticle], Cut]] = {
    "gru": (partial(Recurrent, "gru"), partial(recurrent.batches, seed=SEED)),
    "self-attentive": (SelfAttentive, partial(self_attentive.batches, seed=SEED)),
}


def drawn(customers: int) -> Purchases:
    """Random lines of two years: popular articles are in more of them, and some customers have many."""
    random, lines = np.random.default_rng(SEED), customers * LINES_EACH
    day = (day_number(AS_OF) - random.integers(1, 729, lines)).astype(np.int32)
    customer, article = ((n * random.random(lines) ** 2).astype(np.int32) for n in (customers, ARTICLES))
    order = np.lexsort((article, customer, day))
    ids = (pa.array([f"{i:010d}" for i in range(n)]) for n in (customers, ARTICLES))
    return Purchases(day[order], customer[order], article[order], *ids)


def network(kind: str, counts: Tensor) -> NextArticle:
    """A fresh network, the same each time."""
    pl.seed_everything(SEED, verbose=False)
    return KINDS[kind][0](counts, torch.empty(len(counts), 0), SEED)


def bare(kind: str, events: EventTensors, counts: Tensor) -> None:
    """The loop that one would write without Lightning, on tensors that are on the device already."""
    module = network(kind, counts).to(events.article.device)
    optimiser = module.configure_optimizers()
    for epoch in range(EPOCHS):
        module.start_epoch(epoch)
        for batch in KINDS[kind][1](events, epoch):
            optimiser.zero_grad()
            module.loss(batch).backward()
            optimiser.step()
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def lightning(kind: str, events: EventTensors, counts: Tensor, folder: Path) -> None:
    """The job's way: DataModule, checkpoints, progress bar; the last epoch is loaded in the end."""
    fit(network(kind, counts), EventDataModule(events, KINDS[kind][1]), EPOCHS, folder)


def pick(kind: str, history: Purchases, counts: Tensor) -> None:
    """Picks for all customers in blocks, the preparation of their events included."""
    model = Sequences(network(kind, counts).eval(), history.article_ids, np.empty((ARTICLES, 0), np.float32), READING)
    source = model.at(history, AS_OF, COUNT)
    for customers in np.array_split(np.arange(len(history.customer_ids)), -(-len(history.customer_ids) // BLOCK)):
        source.of(customers)


def run(customers: int) -> None:
    """Time both kinds of network both ways, in turns, and their picks, and publish the medians."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    history = drawn(customers)
    torch.set_num_threads(1)  # as the job
    prepared = events_of(history, READING)
    counts = torch.from_numpy(np.bincount(prepared.article, minlength=ARTICLES))
    events = EventTensors(torch.from_numpy(prepared.offsets), torch.from_numpy(prepared.article).long()).to(device)
    turns: dict[str, list[Result]] = {f"{kind}, {what}": [] for kind in KINDS for what in (*WAYS, f"top {COUNT}")}
    with tempfile.TemporaryDirectory(prefix="atelier-bench-", dir=Path.cwd()) as folder:
        for turn, kind in product(range(-1, TURNS), KINDS):
            works = {
                "bare": partial(bare, kind, events, counts),
                "Lightning": partial(lightning, kind, events, counts, Path(folder) / f"{kind} {turn}"),
                f"top {COUNT}": partial(pick, kind, history, counts),
            }
            for what, work in works.items():
                result = timed(work)
                if turn >= 0:  # the first turn warms up
                    turns[f"{kind}, {what}"].append(result)
    publish(
        "sequences",
        f"make bench-sequences CUSTOMERS={customers}",
        medians(turns),
        shares(turns, KINDS, WAYS),
        note(turns, history),
    )


def note(turns: Mapping[str, Sequence[Result]], history: Purchases) -> str:
    """What was done, and sequences and customers a second."""
    customers = len(history.customer_ids)
    passes = {name: 1 if name.endswith(str(COUNT)) else EPOCHS for name in turns}
    rates = {name: passes[name] * customers / median(result.seconds for result in of) for name, of in turns.items()}
    said = "; ".join(f"{name} {rate:,.0f}" for name, rate in rates.items())
    where = torch.cuda.get_device_name() if torch.cuda.is_available() else "one thread"
    return (
        f"{EPOCHS} epoch of {customers:,} customers' sequences, {len(history):,} lines of {ARTICLES:,} articles, on"
        f" {where}; both ways cut the same batches for the same network: gru on session-parallel lanes, self-attentive"
        f" on windows, with a sampled softmax of {DRAWN:,}. Lightning as the job uses it:"
        f" DataModule, progress bar, a checkpoint an epoch. Then the {COUNT} best articles for everybody, in blocks of"
        f" {BLOCK:,}, from the lines on. Medians of {TURNS} turns. Sequences or customers a second: {said}."
    )
