"""A fit that was killed resumes, and ends where it would have ended."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
import torch

from jobs.recommenders import recurrent
from jobs.recommenders.sequence_model import Sequences
from lightning_modules.next_article import NextArticle
from lightning_modules.recurrent import Recurrent
from tests.jobs.recommenders.small import SYSTEMS, circle, known


class Killed(Exception):
    """Stands for the signal."""


def killed_and_resumed(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Sequences:
    """Killed in the third batch of its second epoch, then started again."""
    step = NextArticle.training_step
    epochs: list[int] = []
    killed_at = [(1, 2)]

    def training_step(self: NextArticle, batch: dict[str, torch.Tensor], nth: int) -> torch.Tensor:
        if (self.current_epoch, nth) in killed_at:
            raise Killed
        epochs.append(self.current_epoch)
        return step(self, batch, nth)

    with monkeypatch.context() as patch:
        patch.setattr(NextArticle, "training_step", training_step)
        with pytest.raises(Killed):
            SYSTEMS[name](known(circle(), folder, epochs=3))
        torch.manual_seed(99)  # another process
        killed_at.clear()
        epochs.clear()
        resumed = SYSTEMS[name](known(circle(), folder, epochs=3))
    assert set(epochs) == {1, 2}, "the first epoch is not run again"
    return resumed


@pytest.mark.filterwarnings("ignore:Checkpoint directory")
@pytest.mark.parametrize(
    ("name", "sampled"), [("lstm", False), ("gru", True), ("gru_features", False), ("self_attentive", False)]
)
def test_resumed_is_the_same_as_uninterrupted(
    name: str, sampled: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if sampled:
        monkeypatch.setattr(recurrent, "Recurrent", partial(Recurrent, full_softmax=0, drawn=5))
    whole = SYSTEMS[name](known(circle(), tmp_path / "whole", epochs=3)).network.state_dict()
    resumed = killed_and_resumed(name, tmp_path / "killed", monkeypatch).network.state_dict()
    assert whole.keys() == resumed.keys()
    for part, values in whole.items():
        assert torch.equal(values, resumed[part]), part


@pytest.mark.filterwarnings("ignore:Checkpoint directory")
def test_a_fit_that_had_ended_is_taken_from_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = SYSTEMS["gru"](known(circle(), tmp_path)).network.state_dict()
    monkeypatch.setattr(NextArticle, "training_step", lambda *_: pytest.fail("trains again"))
    again = SYSTEMS["gru"](known(circle(), tmp_path)).network.state_dict()
    assert all(torch.equal(values, again[part]) for part, values in whole.items())
