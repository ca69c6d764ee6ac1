"""Ranker: the paper's two-branch network, each branch computed once per customer or article, the head per pair."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from jobs.ranking.candidate_retrieval import Candidates, Retrieval, as_tensor
from jobs.ranking.snapshot import Floats
from lightning_modules.ranker import Ranker


@dataclass(frozen=True)
class Network:
    """The fitted network."""

    NAME: ClassVar[str] = "network"
    FILE: ClassVar[str] = "network.safetensors"

    module: Ranker

    def save(self, folder: Path) -> None:
        """Weights as safetensors, sizes as JSON."""
        save_file(self.module.state_dict(), folder / self.FILE)
        (folder / self.FILE).with_suffix(".json").write_text(json.dumps(dict(self.module.hparams)))

    @classmethod
    def load(cls, folder: Path) -> Network:
        module = Ranker(**json.loads((folder / cls.FILE).with_suffix(".json").read_text()))
        module.load_state_dict(load_file(folder / cls.FILE))
        return cls(module.eval())

    def scorer(self, retrieval: Retrieval) -> Callable[[Candidates], Floats]:
        """A function that scores a block's candidates, (n, w): log-odds of a purchase."""
        inputs = retrieval.inputs
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        module = self.module.to(device).eval()
        with torch.inference_mode():
            articles = module.article_branch(*retrieval.articles.tensors(device))

        def scores(candidates: Candidates) -> Floats:
            columns = retrieval.columns(candidates, *np.ogrid[tuple(map(slice, candidates.merged.articles.shape))])
            pair = as_tensor(inputs.pairs.standardised(columns)).to(device)
            code = as_tensor(np.maximum(candidates.merged.articles, 0)).to(device)
            with torch.inference_mode():
                customer = module.customer_branch(
                    as_tensor(candidates.numeric).to(device), as_tensor(candidates.categories).to(device)
                )
                return module.join(customer[:, None, :], articles[code], pair).cpu().numpy()

        return scores
