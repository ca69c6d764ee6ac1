"""The self-attentive network of the next article."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from lightning_modules.self_attentive import SelfAttentive
from lightning_modules.sessions import EventTensors, WindowBatches

ARTICLES = 7


def network() -> SelfAttentive:
    torch.manual_seed(0)
    return SelfAttentive(torch.arange(ARTICLES), torch.zeros(ARTICLES, 0), seed=0, window=5).eval()


def test_what_follows_an_event_does_not_reach_it() -> None:
    of = network()
    inputs = torch.tensor([[1, 2, 3, 4]])
    changed = inputs.clone()
    changed[0, 2:] = torch.tensor([6, 0])
    before, after = (of(of.vectors(some)) for some in (inputs, changed))
    torch.testing.assert_close(before[:, :2], after[:, :2])
    assert (before[:, 2] - after[:, 2]).abs().max() > 0.01
    first = inputs.clone()
    first[0, 0] = 6
    assert (of(of.vectors(first))[:, 3] - before[:, 3]).abs().max() > 0.01, "looks back"


@pytest.mark.parametrize("inference", [False, True])
def test_the_state_after_all_events_is_that_of_the_last_window_in_training(inference: bool) -> None:
    of = network()
    counts = torch.tensor([1, 9, 3, 5])
    offsets = torch.cat([torch.zeros(1, dtype=torch.long), counts.cumsum(0)])
    article = torch.randint(ARTICLES, (18,), generator=torch.Generator().manual_seed(1))
    customers = torch.tensor([1, 0, 3, 2])
    with torch.inference_mode(inference):
        after = of.after(of.vectors.all(), article, offsets[customers], counts[customers])
        for state, customer in zip(after, customers.tolist(), strict=True):
            last = article[offsets[customer] : offsets[customer + 1]][-5:]
            torch.testing.assert_close(state, of(of.vectors(last[None]))[0, -1], rtol=1e-4, atol=1e-5)


def test_few_articles_are_all_in_the_softmax() -> None:
    of = network()
    states, targets = torch.randn(4, 128), torch.tensor([0, 3, 3, 6])
    expected = F.cross_entropy(of.logits(states, torch.arange(ARTICLES)), targets, reduction="none")
    torch.testing.assert_close(of.losses(states, targets), expected)


def test_the_loss_is_the_mean_over_valid_pairs() -> None:
    of = network()
    events = EventTensors(torch.tensor([0, 4, 6]), torch.tensor([0, 1, 2, 3, 4, 5]))
    (batch,) = WindowBatches(events, 8, 5, 7, 0)
    assert not batch["valid"].all()
    states = of.states(batch)[batch["valid"]]
    torch.testing.assert_close(of.loss(batch), of.losses(states, batch["targets"][batch["valid"]]).mean())
