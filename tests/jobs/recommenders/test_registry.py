"""Systems by name, and what a fit costs."""

from __future__ import annotations

import inspect
import subprocess
import sys
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest

from jobs.platform import code
from jobs.platform.settings import Settings
from jobs.recommenders import registry
from jobs.recommenders.registry import SYSTEMS, fit_of
from jobs.recommenders.side_features import SideFeatures, no_features
from jobs.recommenders.timed_fit import checkpoints, peak_mib
from tests.jobs.retrieval.small import on, purchases

ROOT = Path(__file__).resolve().parents[3]


def test_the_settings_offer_the_systems() -> None:
    assert set(SYSTEMS) == set(get_args(Settings.model_fields["system"].annotation))


@pytest.mark.parametrize("name", SYSTEMS)
def test_a_system_has_a_fit_that_takes_its_arguments(name: str) -> None:
    entry = SYSTEMS[name]
    module = import_module(entry.module)
    taken = inspect.signature(module.fit).parameters
    assert next(iter(taken)) == "known" and set(entry.arguments) <= set(taken)
    assert ("reading" in taken, "job" in taken) == (entry.takes_reading, entry.takes_job)
    assert ("with_features" in taken) == ("with_features" in entry.arguments)
    assert callable(fit_of(name, "every_unit"))


def test_arguments_and_reading_reach_the_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    assert SYSTEMS["lstm_features"].arguments == {"cell": "lstm", "with_features": True}
    assert (SYSTEMS["lstm_features"].features, SYSTEMS["lstm"].features) == ("side", "none")
    given: list[dict] = []
    job: Any = object()
    module = type("Module", (), {"fit": staticmethod(lambda known, **more: given.append(more))})
    monkeypatch.setattr(registry, "import_module", lambda _: module)
    fit_of("gru_features", "every_unit")(None)  # type: ignore[arg-type]
    fit_of("als", "every_unit", job)(None)  # type: ignore[arg-type]
    fit_of("two_stage", "every_unit", job)(None)  # type: ignore[arg-type]
    fit_of("two_stage_events", "every_unit", job)(None)  # type: ignore[arg-type]
    network = {"cell": "gru", "with_features": True, "reading": "every_unit"}
    assert given == [network, {}, {"job": job}, {"job": job, "with_events": True}]


def test_naming_the_systems_imports_none() -> None:
    source = (
        "import sys, jobs.recommenders.registry\n"
        "print([m for m in ('torch', 'implicit', 'pyspark') if m in sys.modules])"
    )
    outcome = subprocess.run([sys.executable, "-c", source], cwd=ROOT, capture_output=True, text=True, check=True)
    assert outcome.stdout.strip() == "[]"


def test_another_fit_has_another_folder(tmp_path: Path) -> None:
    settings = Settings(as_of_date=on(9), warehouse=str(tmp_path))
    history, features = purchases([(0, 0, 0), (1, 1, 1)], 3, 3), SideFeatures(np.zeros((3, 1), np.float32), {})
    folder = checkpoints(settings, history, on(9), features)
    assert folder == checkpoints(settings, replace(history), on(9), features)
    assert folder.parent == tmp_path / "work" / "checkpoints" and folder.name.startswith(f"als-{on(9)}-")
    others = [
        checkpoints(settings, history, on(8), features),
        checkpoints(settings, history, on(9), replace(features, values=features.values + 1)),
        checkpoints(settings, purchases([(0, 0, 0), (1, 1, 2)], 3, 3), on(9), features),
        checkpoints(settings, purchases([(0, 0, 0), (1, 1, 1)], 3, 4), on(9), features),
        *(
            checkpoints(settings.model_copy(update=update), history, on(9), features)
            for update in ({"system": "bpr"}, {"system_epochs": 3}, {"seed": 1})
        ),
    ]
    assert len({folder, *others}) == 1 + len(others)


def test_other_code_has_another_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings(as_of_date=on(9), warehouse=str(tmp_path))
    history = purchases([(0, 0, 0), (1, 1, 1)], 3, 3)
    monkeypatch.setattr(code, "ROOT", tmp_path)
    folders = {checkpoints(settings, history, on(9), no_features(history))}
    for room in ("jobs/recommenders", "lightning_modules"):
        (tmp_path / room).mkdir(parents=True)
        (tmp_path / room / "network.py").write_text("SIZE = 64")
        folders.add(checkpoints(settings, history, on(9), no_features(history)))
    assert len(folders) == 3


def test_peak_memory_counts_processes_that_were_started() -> None:
    before = peak_mib()
    source = "b = bytearray(150 << 20); print('up', flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", source], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        during = peak_mib()
        child.communicate(b"\n")
    assert 150 < during - before < 400
