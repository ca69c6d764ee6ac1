"""The gate and the registry week by week: what reruns, backfills and rollbacks may not change."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from expectations.evaluation import EVALUATION_METRICS, MODEL_DECISIONS
from jobs.evaluation import gate, rollback
from jobs.platform.errors import JobError
from jobs.platform.job import Job
from jobs.platform.settings import WEEK, Settings
from jobs.platform.tracking import ModelVersion
from jobs.ranking import model_registry
from jobs.ranking.inputs import INPUTS_DIGEST
from jobs.ranking.model_registry import Champion, version_of_run
from tests.jobs.evaluation.gate_figures import BASELINES, WEEKS, figures, rows
from tests.jobs.evaluation.silver import put


class Store:
    """A model registry of versions by number; those in `damaged` do not verify, and `without` says what a job made."""

    def __init__(self) -> None:
        self.versions: dict[str, ModelVersion] = {}
        self.damaged: set[str] = set()
        self.without: dict[str, str] = {}

    def register(self, version: str, as_of_date: date, run: str = "") -> None:
        """Once: a rerun of the gate finds the version as it was."""
        tags = {"as_of_date": as_of_date.isoformat(), "inputs": INPUTS_DIGEST, "digest": f"digest {version}{run}"}
        known = ModelVersion("weekly_recommender", version, f"run {version}{run}", tags)
        self.versions.setdefault(version, known)

    def other_inputs(self, *versions: str) -> None:
        for version in versions:
            self.versions[version] = replace(self.versions[version], tags=self.versions[version].tags | {"inputs": "x"})

    def find(self, name: str, **tags: str) -> list[ModelVersion]:
        found = [v for v in self.versions.values() if tags.items() <= v.tags.items()]
        return sorted(found, key=lambda v: int(v.version), reverse=True)

    def damage(self, name: str, version: str) -> str | None:
        return f"version {version}: 1 of 9 files are damaged" if version in self.damaged else None


def champion_as_of(job: Job) -> str | None:
    return model_registry.champion_as_of(job).version


def incumbent(job: Job) -> str | None:
    return model_registry.incumbent(job).version


@pytest.fixture
def week(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Runs the gate for an as-of date; `week.champions` and `week.cards` are what it wrote of them."""
    store = Store()
    champions: list[tuple[str, str]] = []
    cards: list[tuple] = []

    for module in (gate, rollback):
        monkeypatch.setattr(module, "use_tracking", lambda settings: None)
        monkeypatch.setattr(module, "set_champion", lambda name, *champion: champions.append(champion))
        monkeypatch.setattr(module, "describe_version", lambda name, *card, **tags: cards.append((*card, tags)))
    monkeypatch.setattr(gate, "without_result", lambda settings, job, **tags: store.without.get(job))
    monkeypatch.setattr(gate, "damage", store.damage)
    monkeypatch.setattr(model_registry, "damage", store.damage)
    monkeypatch.setattr(model_registry, "find_versions", store.find)

    def run(
        as_of_date: date, version: str, challenger: float, champion: float | None = None, accept_drift: bool = False
    ) -> str:
        job = job_of(tmp_path, as_of_date, accept_drift)
        store.register(version, as_of_date)
        found = figures(challenger, champion, noise=0.0005)
        versions = {"challenger_version": version, "champion_version": incumbent(job) or ""}
        table = rows(found, as_of_date=as_of_date, **versions)
        job.warehouse.publish_arrow(EVALUATION_METRICS, table, {"as_of_date": [as_of_date]})
        return gate.main(job_of(tmp_path, as_of_date, accept_drift))

    run.champions, run.cards, run.store = champions, cards, store  # type: ignore[attr-defined]
    return run


def roll_back(warehouse: Path, as_of_date: date) -> str:
    settings = Settings(as_of_date=as_of_date, warehouse=str(warehouse), run_id="back")
    return rollback.main(Job("evaluation.rollback", settings, rollback.READS, rollback.WRITES))


def job_of(warehouse: Path, as_of_date: date, accept_drift: bool = False) -> Job:
    settings = Settings(as_of_date=as_of_date, warehouse=str(warehouse), run_id="r", accept_drift=accept_drift)
    return Job("evaluation.gate", settings, gate.READS, gate.WRITES)


def decisions(warehouse: Path) -> list[dict]:
    rows = job_of(warehouse, WEEKS[0]).read_arrow(MODEL_DECISIONS).to_pylist()
    return sorted(rows, key=lambda row: row["as_of_date"])


def test_weeks_reruns_and_backfills(week: Callable[..., str], tmp_path: Path) -> None:
    assert week(WEEKS[1], "1", 0.03).startswith("version 1 promoted: MAP@12 0.0300 over 4 weeks")
    assert week(WEEKS[2], "2", 0.028, champion=0.029).startswith("version 2 not promoted")
    assert week(WEEKS[3], "3", 0.04, champion=0.03).startswith("version 3 promoted")
    assert [version for version, _ in week.champions] == ["1", "1", "3"]  # type: ignore[attr-defined]
    reasons = [reason for _, reason in week.champions]  # type: ignore[attr-defined]
    assert reasons[0] == reasons[1], "why the champion is one, not why another is not"
    assert reasons[2].startswith("MAP@12 0.0400")
    before = decisions(tmp_path)

    # A rerun of a date: the same verdict, once; it does not meet itself as champion.
    week(WEEKS[3], "3", 0.04, champion=0.03)
    assert decisions(tmp_path) == before

    # A backfill of an older week meets no champion of its future, and does not move the alias back.
    said = week(WEEKS[0], "4", 0.031)
    assert said.startswith("version 4 promoted")
    assert said.endswith("the alias champion stays with version 3 of 2020-09-23, a later week")
    assert week.champions[-1][0] == "3"  # type: ignore[attr-defined]
    champions = [champion_as_of(job_of(tmp_path, day)) for day in (WEEKS[0] - WEEK, *WEEKS)]
    assert champions == [None, "4", "1", "1", "3"]
    assert [incumbent(job_of(tmp_path, day)) for day in WEEKS] == [None, "4", "1", "1"]

    # Trained again, and worse: the date loses its champion, and the older one is champion again.
    assert week(WEEKS[3], "5", 0.01, champion=0.03).startswith("version 5 not promoted")
    assert champion_as_of(job_of(tmp_path, WEEKS[3])) == "1"
    assert week.champions[-1][0] == "1"  # type: ignore[attr-defined]


def test_a_champion_that_learnt_from_the_label_week_is_not_met(week: Callable[..., str], tmp_path: Path) -> None:
    week(WEEKS[1], "1", 0.03)
    assert incumbent(job_of(tmp_path, date(2020, 9, 15))) is None
    assert incumbent(job_of(tmp_path, date(2020, 9, 16))) == "1"


def test_a_champion_of_other_inputs_is_passed_over(
    week: Callable[..., str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    week(WEEKS[0], "1", 0.03)
    week(WEEKS[1], "2", 0.04, champion=0.03)
    week.store.other_inputs("2")  # type: ignore[attr-defined]
    assert incumbent(job_of(tmp_path, WEEKS[2])) == champion_as_of(job_of(tmp_path, WEEKS[1])) == "1"
    assert "champion of 2020-09-09 passed over: version 2 was trained with other inputs" in caplog.text
    week.store.other_inputs("1", "2")  # type: ignore[attr-defined]
    assert champion_as_of(job_of(tmp_path, WEEKS[2])) is None
    assert week(WEEKS[2], "3", 0.03).startswith("version 3 promoted"), "it has only the baselines to beat"


def test_a_rollback_is_honoured_by_what_runs_next(week: Callable[..., str], tmp_path: Path) -> None:
    week(WEEKS[0], "1", 0.03)
    week(WEEKS[1], "2", 0.04, champion=0.03)
    said = roll_back(tmp_path, WEEKS[1])
    assert said == "version 2 of 2020-09-09 rolled back as of 2020-09-09; champion again: version 1 of 2020-09-02"
    assert week.champions[-1][0] == "1"  # type: ignore[attr-defined]
    assert champion_as_of(job_of(tmp_path, WEEKS[1])) == incumbent(job_of(tmp_path, WEEKS[2])) == "1"
    assert week.cards[-1] == (  # type: ignore[attr-defined]
        "2", "Rolled back", "As of 2020-09-09, by run back.", {"verdict": "rolled back"}
    )  # fmt: skip
    row = decisions(tmp_path)[1]
    assert (row["is_promoted"], row["rolled_back_date"], row["run_id"]) == (False, WEEKS[1], "back")
    assert row["reason"].startswith("rolled back as of 2020-09-09; MAP@12 0.0400")

    # Once more: nothing changes, and only one version is taken back.
    before = decisions(tmp_path)
    said = roll_back(tmp_path, WEEKS[1])
    assert said == "version 2 was rolled back as of 2020-09-09 before; champion: version 1 of 2020-09-02"
    assert decisions(tmp_path) == before and week.champions[-1][0] == "1"  # type: ignore[attr-defined]

    # A rerun of the gate does not bring it back; a model that was trained again is another version.
    assert week(WEEKS[1], "2", 0.04, champion=0.03).startswith("version 2 not promoted: rolled back as of 2020-09-09;")
    assert decisions(tmp_path)[1]["rolled_back_date"] == WEEKS[1] and week.champions[-1][0] == "1"  # type: ignore[attr-defined]

    # The next week meets the champion that was put back.
    assert week(WEEKS[2], "3", 0.035, champion=0.03).startswith("version 3 promoted")
    assert decisions(tmp_path)[2]["incumbent_version"] == "1"
    assert week(WEEKS[1], "4", 0.038, champion=0.03).startswith("version 4 promoted")
    assert [champion_as_of(job_of(tmp_path, day)) for day in WEEKS] == ["1", "4", "3", "3"]


def test_the_date_says_which_champion_is_taken_back(week: Callable[..., str], tmp_path: Path) -> None:
    for day, version, score, champion in [(0, "1", 0.03, None), (1, "2", 0.032, 0.03), (3, "3", 0.034, 0.032)]:
        week(WEEKS[day], version, score, champion)
    said = roll_back(tmp_path, WEEKS[2])  # version 2 was champion then
    assert said.startswith("version 2 of 2020-09-09 rolled back as of 2020-09-16; champion again: version 1")
    assert said.endswith("the alias champion stays with version 3 of 2020-09-23, a later week")
    assert week.champions[-1][0] == "3"  # type: ignore[attr-defined]
    assert roll_back(tmp_path, WEEKS[3]).endswith("champion again: version 1 of 2020-09-02")
    assert week.champions[-1][0] == "1"  # type: ignore[attr-defined]


def test_nothing_to_roll_back_to(week: Callable[..., str], tmp_path: Path) -> None:
    with pytest.raises(JobError, match="nothing to roll back to, no version was promoted by 2020-09-02"):
        roll_back(tmp_path, WEEKS[0])
    week(WEEKS[0], "1", 0.03)
    week(WEEKS[1], "2", 0.02, champion=0.03)
    with pytest.raises(JobError, match="nothing to roll back to, version 1 is the only one promoted by 2020-09-09"):
        roll_back(tmp_path, WEEKS[1])
    assert champion_as_of(job_of(tmp_path, WEEKS[1])) == "1"


def test_the_newest_version_of_the_date_is_the_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, str]] = []

    def find(name: str, as_of_date: str) -> list[ModelVersion]:
        asked.append((name, as_of_date))
        return [ModelVersion(name, version, "r", {}) for version in ("9", "4")] if as_of_date == "2020-09-16" else []

    monkeypatch.setattr(model_registry, "find_versions", find)
    assert version_of_run(Settings(as_of_date=date(2020, 9, 16))).version == "9"
    assert asked == [("weekly_recommender", "2020-09-16")]
    with pytest.raises(JobError, match=r"no version of 2020-09-09 is registered; run ranking\.train"):
        version_of_run(Settings(as_of_date=date(2020, 9, 9)))


def test_a_rollback_while_the_gate_decides_is_not_undone(
    week: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody takes the champion back while a rerun of its date is being judged again."""
    week(WEEKS[0], "1", 0.03)
    week(WEEKS[1], "2", 0.04, champion=0.03)
    decide, waiting = gate.decide, [WEEKS[1]]

    def held(*args: object) -> gate.Verdict:
        if waiting:
            roll_back(tmp_path, waiting.pop())
        return decide(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(gate, "decide", held)
    assert "rolled back as of 2020-09-09" in week(WEEKS[1], "2", 0.04, champion=0.03)
    assert champion_as_of(job_of(tmp_path, WEEKS[1])) == "1"


def test_a_damaged_champion_is_passed_over_and_said(
    week: Callable[..., str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = week.store  # type: ignore[attr-defined]
    week(WEEKS[0], "1", 0.03)
    week(WEEKS[1], "2", 0.04, champion=0.03)
    store.damaged.add("2")
    words = "champion of 2020-09-09 passed over: version 2: 1 of 9 files are damaged"
    assert model_registry.champion_as_of(job_of(tmp_path, WEEKS[1])) == Champion("1", (words,))
    assert words in caplog.text
    said = week(WEEKS[2], "3", 0.02, champion=0.03)
    assert said.startswith("version 3 not promoted") and said.endswith(words)
    row = decisions(tmp_path)[2]
    assert row["incumbent_version"] == "1" and row["reason"].endswith(words)
    assert week.champions[-1][0] == "1", "nor does the alias lead to it"  # type: ignore[attr-defined]
    # The run's own version, damaged since it was judged.
    store.damaged = {"1", "2", "3"}
    assert week(WEEKS[2], "3", 0.04).startswith("version 3 not promoted: not judged: version 3: 1 of 9")
    assert champion_as_of(job_of(tmp_path, WEEKS[2])) is None, "what is left are baselines"


def test_a_lost_store_is_no_empty_one(week: Callable[..., str], tmp_path: Path) -> None:
    store = week.store  # type: ignore[attr-defined]
    assert champion_as_of(job_of(tmp_path, WEEKS[0])) is None, "nothing was promoted yet"
    week(WEEKS[0], "1", 0.03)
    week(WEEKS[1], "2", 0.02, champion=0.03)
    store.versions.clear()
    store.register("1", WEEKS[2], run=" of the new store")
    lost = (
        r"version 1 of 2020-09-02 is champion, but the MLflow store sqlite:///\S+ has none of the versions decided on: "
        r"it is lost, or another one; bring it back .* or begin again without a champion by --accept-drift true"
    )
    for ask in (champion_as_of, incumbent, lambda job: week(WEEKS[2], "1", 0.04)):
        with pytest.raises(JobError, match=lost):
            ask(job_of(tmp_path, WEEKS[2]))


def test_a_refused_model_is_not_published_under_the_number_of_a_promoted_one(
    week: Callable[..., str], tmp_path: Path
) -> None:
    """The store was lost after week 0 and counts from 1 again; the operator began again, and the new 1 was refused."""
    week(WEEKS[0], "1", 0.03)
    store = week.store  # type: ignore[attr-defined]
    store.versions.clear()
    store.register("1", WEEKS[1], run=" of the new store")
    accepting = job_of(tmp_path, WEEKS[1], accept_drift=True)
    assert model_registry.champion_as_of(accepting).version is None
    assert week(WEEKS[1], "1", 0.01, accept_drift=True).startswith("version 1 not promoted")
    row = decisions(tmp_path)[1]
    assert (row["mlflow_run_id"], row["model_digest"]) == ("run 1 of the new store", "digest 1 of the new store")
    found = model_registry.champion_as_of(job_of(tmp_path, WEEKS[1]))
    lost = "champion of 2020-09-02 passed over: version 1 (MLflow run run 1) is not in the registry"
    assert found == Champion(None, (lost,)), "neither the old 1 nor the new one"
    # The same number and run, but other files: registered once more by hand.
    store.versions["1"] = replace(store.versions["1"], mlflow_run_id="run 1")
    assert champion_as_of(job_of(tmp_path, WEEKS[1], accept_drift=True)) is None


def test_a_decision_of_older_code_is_found_by_number_and_date(week: Callable[..., str], tmp_path: Path) -> None:
    week(WEEKS[0], "1", 0.03)
    (row,) = decisions(tmp_path)
    put(tmp_path, MODEL_DECISIONS, [row | {"mlflow_run_id": None, "model_digest": None}], {"as_of_date": [WEEKS[0]]})
    assert champion_as_of(job_of(tmp_path, WEEKS[0])) == "1"
    store = week.store  # type: ignore[attr-defined]
    store.versions.clear()
    store.register("1", WEEKS[1])
    with pytest.raises(JobError, match="it is lost"):
        champion_as_of(job_of(tmp_path, WEEKS[1]))


def test_a_week_without_a_purchase_has_no_best_baseline() -> None:
    nothing = rows(figures(0.03)).slice(0, 0)
    assert gate.unjudged(nothing, "no model: too little") == gate.Verdict(False, "no model: too little")


def test_where_no_baseline_hits_anything_rules_are_published() -> None:
    nothing = dict.fromkeys(BASELINES, 0.0)
    assert gate.unjudged(rows(figures(0.0, **nothing)), "no model").best_baseline == "rules"
    assert gate.unjudged(rows(figures(0.0, **nothing | {"popularity_7d": 0.01})), "").best_baseline == "popularity_7d"


@pytest.mark.parametrize(
    ("job", "said", "version"),
    [
        ("ranking.train", "nothing to promote: no model: too little", "baseline"),
        ("evaluation.evaluate", "version 2 not promoted: not judged: too little", "2"),
    ],
)
def test_a_week_without_a_model_keeps_the_champion_and_says_why(
    week: Callable[..., str], tmp_path: Path, job: str, said: str, version: str
) -> None:
    week(WEEKS[0], "1", 0.03)
    week.store.without[job] = "too little"  # type: ignore[attr-defined]
    assert week(WEEKS[1], "2", 0.05) == said
    row = decisions(tmp_path)[1]
    assert (row["model_version"], row["is_promoted"], row["folds"]) == (version, False, 0)
    assert row["challenger_map_at_12"] is row["best_baseline_difference"] is row["coverage_at_12"] is None
    assert (row["best_baseline"], row["best_baseline_map_at_12"]) == ("own_recent_then_popularity", 0.026)
    assert champion_as_of(job_of(tmp_path, WEEKS[1])) == "1" and len(week.cards) == 1  # type: ignore[attr-defined]
