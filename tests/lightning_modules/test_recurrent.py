"""The recurrent network of the next article."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from lightning_modules.recurrent import CELLS, Recurrent
from lightning_modules.sessions import EventTensors, SessionBatches

COUNTS = [5, 1, 9, 2, 0, 7, 12, 3]
ARTICLES = 6
each_cell = pytest.mark.parametrize("cell", CELLS)


def shop() -> EventTensors:
    """Random events of customers, two of whom have no pair."""
    offsets = torch.tensor([0, *COUNTS]).cumsum(0)
    return EventTensors(offsets, torch.randint(ARTICLES, (sum(COUNTS),), generator=torch.Generator().manual_seed(3)))


def network(cell: str, **choices: int) -> Recurrent:
    torch.manual_seed(0)
    features = torch.randn(ARTICLES, 2)
    return Recurrent(cell, torch.arange(1, ARTICLES + 1), features, seed=0, **choices)  # type: ignore[arg-type]


def alone(of: Recurrent, articles: Tensor) -> Tensor:
    """The hidden state after each event of one customer, by PyTorch's own layer over the whole history."""
    whole = {"rnn": torch.nn.RNN, "lstm": torch.nn.LSTM, "gru": torch.nn.GRU}[of.hparams["cell"]](128, 128)
    whole.load_state_dict({f"{name}_l0": values for name, values in of.cell.state_dict().items()})
    hidden: Tensor = whole(of.vectors(articles))[0]
    return hidden


@each_cell
@pytest.mark.parametrize("window", [1, 3, 40])
def test_chunks_are_one_long_run_of_each_customer_alone(cell: str, window: int) -> None:
    of, events = network(cell), shop()
    expected = {}
    for start, end in zip(events.offsets[:-1].tolist(), events.offsets[1:].tolist(), strict=True):
        if end - start > 1:
            for place, hidden in enumerate(alone(of, events.article[start:end])[:-1]):
                expected[start + place] = hidden
    positions = EventTensors(events.offsets, torch.arange(len(events.article)))
    for batch, at in zip(
        SessionBatches(events, 3, window, 7, 0), SessionBatches(positions, 3, window, 7, 0), strict=True
    ):
        states = of.states(batch)
        for place, state in zip(at["inputs"][at["valid"]].tolist(), states[at["valid"]], strict=True):
            torch.testing.assert_close(state, expected.pop(place), rtol=0, atol=1e-6)
    assert not expected


@each_cell
def test_the_state_after_all_events_is_that_of_each_customer_alone(cell: str) -> None:
    of, events = network(cell), shop()
    customers = torch.tensor([6, 1, 0, 5, 3])
    start, count = events.offsets[customers], events.offsets.diff()[customers]
    with torch.inference_mode():
        after = of.after(of.vectors.all(), events.article, start, count)
    for state, first, length in zip(after, start.tolist(), count.tolist(), strict=True):
        whole = alone(of, events.article[first : first + length])[-1]
        torch.testing.assert_close(state, whole, rtol=0, atol=1e-6)


def test_nothing_is_learned_through_a_batch_before() -> None:
    of = network("gru")
    first, second = list(SessionBatches(shop(), 3, 4, 7, 0))[:2]
    of.loss(first)
    loss = of.loss(second)
    loss.backward()
    assert all(not part.requires_grad for part in of._carried or ())


def test_an_epoch_begins_without_what_was_carried() -> None:
    of = network("lstm")
    batches = list(SessionBatches(shop(), 3, 4, 7, 0))
    expected = of.loss(batches[0])
    of.loss(batches[1])
    of.start_epoch(1)
    torch.testing.assert_close(of.loss(batches[0]), expected)


def test_the_loss_is_the_mean_over_valid_pairs() -> None:
    of = network("gru")
    *_, last = SessionBatches(shop(), 3, 4, 7, 0)
    assert not last["valid"].all()
    hidden, _ = of(last["inputs"], last["reset"], of.beginning(3))
    logits = hidden @ of.vectors.all().T + of.vectors.bias
    log_probability = logits.log_softmax(dim=2).gather(2, last["targets"][..., None]).squeeze(2)
    torch.testing.assert_close(of.loss(last), -log_probability[last["valid"]].mean())


def test_the_sampled_softmax_estimates_the_full_ones_loss_and_gradient() -> None:
    full, sampled = network("gru"), network("gru", full_softmax=0, drawn=4000)
    assert full.full_softmax and not sampled.full_softmax
    states, targets = torch.randn(20, 128), torch.arange(20) % ARTICLES
    gradients = []
    for of in (full, sampled):
        loss = of.losses(states, targets).mean()
        loss.backward()
        gradients.append((loss.detach(), of.vectors.ids.weight.grad, of.vectors.bias.grad))
    for exact, estimate in zip(*gradients, strict=True):
        assert exact is not None and estimate is not None
        torch.testing.assert_close(estimate, exact, rtol=0.1, atol=0.02)


def test_articles_are_drawn_as_often_as_they_were_bought() -> None:
    of = network("gru", drawn=21_000)
    drawn, log_expected = of.draw()
    counted = torch.bincount(drawn, minlength=ARTICLES) / 1000
    torch.testing.assert_close(counted, torch.arange(1.0, 7.0), rtol=0, atol=0.25)
    expected = 1000 * (drawn + 1.0)
    torch.testing.assert_close(log_expected.exp(), expected)
