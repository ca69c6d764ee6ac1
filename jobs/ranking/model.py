"""The two-stage model as it is saved and loaded: fitted towers, rankers and preprocessing, never a pickle.

A registered version holds two fits of it, a folder each; see jobs.ranking.train.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from safetensors.torch import load_file, save_file

from jobs.platform.errors import JobError
from jobs.ranking.boosted_trees import BoostedTrees
from jobs.ranking.fitted_inputs import Inputs
from jobs.ranking.inputs import inputs_with
from jobs.ranking.network import Network
from jobs.recommenders import persistence
from jobs.recommenders.recommender import Persistable
from lightning_modules.two_tower import TwoTower

TOWERS, CONFIG = "two_tower.safetensors", "model.json"
#: The fits of a registered version, and the folder they are in.
EVALUATED, FINAL = "evaluated", "final"
FITS = "fits"

Ranker = Network | BoostedTrees
#: The rankers by name.
RANKERS: dict[str, type[Ranker]] = {kind.NAME: kind for kind in (Network, BoostedTrees)}


@dataclass(frozen=True)
class TwoStageModel:
    """Fitted towers for retrieval, fitted rankers, and the inputs that both were fitted on.

    Attributes:
        systems: fitted systems that are candidate sources beside the towers, by name.
        rankers: by name, one or more.
        chosen: name of the one that ranks unless another is named.
        ranks_new_customers: False: customers without history get the best sellers first, whichever ranks.
    """

    inputs: Inputs
    towers: TwoTower
    systems: Mapping[str, Persistable]
    rankers: Mapping[str, Ranker]
    chosen: str
    ranks_new_customers: bool = True

    def save(self, folder: Path) -> None:
        """Write weights, trees and configuration into `folder`."""
        folder.mkdir(parents=True, exist_ok=True)
        save_file(self.towers.state_dict(), folder / TOWERS)
        for ranker in self.rankers.values():
            ranker.save(folder)
        for name, system in self.systems.items():
            persistence.save(name, system, folder)
        config = {
            "towers": dict(self.towers.hparams),
            "rankers": list(self.rankers),
            "chosen": self.chosen,
            "ranks_new_customers": self.ranks_new_customers,
            "preprocessing": self.inputs.to_dict(),
            "systems": list(self.systems),
            "inputs": inputs_with(self.systems),
        }
        (folder / CONFIG).write_text(json.dumps(config, indent=1))

    @classmethod
    def load(cls, folder: Path) -> TwoStageModel:
        """Read what `save` wrote; raises JobError when the model was trained with other inputs."""
        config = json.loads((folder / CONFIG).read_text())
        systems = config.get("systems", [])
        theirs, ours = config.get("inputs", {}), {kind: list(names) for kind, names in inputs_with(systems).items()}
        if theirs != ours:
            changes = _changes(theirs, ours)
            raise JobError(
                f"the registered model's {folder.name} fit was trained with other inputs than this code's ({changes}); "
                "run ranking.train again"
            )
        towers = TwoTower(**config["towers"])
        towers.load_state_dict(load_file(folder / TOWERS))
        inputs = Inputs.from_dict(config["preprocessing"])
        rankers = {name: RANKERS[name].load(folder) for name in config["rankers"]}
        fitted = {name: persistence.load(name, folder) for name in systems}
        return cls(inputs, towers.eval(), fitted, rankers, config["chosen"], config.get("ranks_new_customers", True))


def fit_folder(version: Path, fit: str) -> Path:
    """Where a fit lies among the files of a registered version."""
    current = version / "data" / FITS / fit
    return current if current.exists() else version / fit  # versions of before MLflow's own layout


def _changes(theirs: Mapping[str, Sequence[str]], ours: Mapping[str, Sequence[str]]) -> str:
    """The names that only one of two lists of inputs has, in one line."""
    if not theirs:
        return "it does not say which"
    before, now = ({f"{kind}.{name}" for kind, names in side.items() for name in names} for side in (theirs, ours))
    changes = [
        f"{word} {', '.join(sorted(names))}"
        for word, names in (("gone:", before - now), ("new:", now - before))
        if names
    ]
    return "; ".join(changes) or "in another order"
