"""The whole two stages through MLflow: trained on a small warehouse, registered, loaded and asked."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from expectations.articles import ARTICLES as ARTICLE_TABLE
from expectations.customers import CUSTOMERS as CUSTOMER_TABLE
from expectations.features import ARTICLE_FEATURES, CUSTOMER_FEATURES, INTERACTION_FEATURES
from expectations.transactions import TRANSACTIONS
from jobs.platform.errors import JobError
from jobs.platform.job import Job
from jobs.platform.settings import EVALUATION_FOLDS, WEEK, Settings
from jobs.platform.tracking import describe_version, load_model_folder, set_champion
from jobs.ranking import pyfunc, train
from jobs.ranking.model import EVALUATED, FINAL, TwoStageModel, fit_folder
from jobs.ranking.rank import Recommender
from jobs.ranking.snapshot import SNAPSHOT_TABLES, SnapshotLoader
from jobs.recommenders.recommender import TrainingContext
from jobs.recommenders.registry import fit_of
from jobs.recommenders.side_features import no_features
from jobs.retrieval.candidates import SOURCES
from jobs.retrieval.purchases import load_purchases
from tests.jobs.evaluation.silver import put
from tests.jobs.ranking.conftest import AS_OF, Shop, make_purchases

COUNT = 5
#: Two with history, one without, and the first once more.
ASKED = ["c007", "c001", "c059", "c007"]


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A warehouse with a champion, trained as of AS_OF, and the features of that date and of a week later."""
    root = tmp_path_factory.mktemp("shop")
    settings = Settings(as_of_date=AS_OF, warehouse=str(root), training_weeks=2, max_epochs=1, top_k=COUNT)
    settings = settings.model_copy(update={"extra_sources": ("als", "gru"), "system_epochs": 1})
    shop = Shop(make_purchases())
    customers, articles, lines = shop.customers().to_dicts(), shop.articles().to_dicts(), shop.lines.to_dicts()
    put(root, CUSTOMER_TABLE, [row | {"customer_key": i} for i, row in enumerate(customers)])
    put(root, ARTICLE_TABLE, [row | {"article_key": i} for i, row in enumerate(articles)])
    put(root, TRANSACTIONS, lines)
    weeks = [AS_OF - j * WEEK for j in range(-1, 13)]
    put(root, INTERACTION_FEATURES, shop.interactions(weeks).to_dicts())
    for table, features in ((CUSTOMER_FEATURES, shop.customer_features), (ARTICLE_FEATURES, shop.article_features)):
        for day in [AS_OF + WEEK, *settings.snapshot_dates]:
            dates = {"as_of_date": day, "first_sale_date": day - WEEK, "first_purchase_date": day - WEEK}
            rows = [dates | {"last_purchase_date": day - WEEK} | row for row in features([day]).to_dicts()]
            put(root, table, rows, {"as_of_date": [day]})
    train.main(Job("ranking.train", settings, train.READS + train.READS_EARLIER_RUNS, train.WRITES))
    set_champion(settings.model_name, "1", "the only one")
    return settings


@pytest.fixture(scope="module")
def model(settings: Settings) -> mlflow.pyfunc.PyFuncModel:
    mlflow.set_tracking_uri(settings.tracking_uri)
    return mlflow.pyfunc.load_model(f"models:/{settings.model_name}@champion")


def asked(model: mlflow.pyfunc.PyFuncModel, customers: Any = ASKED, **params: object) -> pd.DataFrame:
    return model.predict(pd.DataFrame({"customer_id": customers}), params=params)


def test_it_ranks_as_the_recommender_does(settings: Settings, model: mlflow.pyfunc.PyFuncModel, tmp_path: Path) -> None:
    found = asked(model)
    assert list(found) == ["customer_id", "rank", "article_id", "score", "source"]
    assert found["customer_id"].tolist() == np.repeat(ASKED, COUNT).tolist()
    assert found["rank"].tolist() == [1, 2, 3, 4, 5] * len(ASKED)
    job = Job("test", settings, SNAPSHOT_TABLES, ())
    purchases = load_purchases(job, before=AS_OF)
    final = TwoStageModel.load(fit_folder(load_model_folder(settings.model_name, "1", tmp_path), FINAL))
    recommender = Recommender(final, SnapshotLoader(job, purchases, None).at(AS_OF))
    ranked = recommender.rank(recommender.candidates(np.array([7, 1, 59, 7], dtype=np.int32)), COUNT)
    assert found["article_id"].tolist() == [f"{code:010}" for code in ranked.articles.ravel()]
    assert found["score"].to_numpy() == pytest.approx(ranked.scores.ravel())
    assert found["source"].tolist() == [SOURCES[code] for code in ranked.sources.ravel()]
    assert set(final.systems) == {"als", "gru"}
    assert not set(found["source"][2 * COUNT : 3 * COUNT]) & {"repurchase", "same_product"}


def test_as_a_system_it_is_the_registered_evaluated_fit(settings: Settings, tmp_path: Path) -> None:
    """So evaluation.weekly_protocol judges the same model as evaluation.evaluate."""
    job, oldest = Job("test", settings, SNAPSHOT_TABLES, ()), AS_OF - EVALUATION_FOLDS * WEEK
    history = load_purchases(job, before=oldest)
    known = TrainingContext(history, oldest, no_features(history).values, 1, settings.seed, tmp_path / "fit")
    fit_of("two_stage", "merged_lines", job)(known).model.save(tmp_path / "own")  # type: ignore[attr-defined]
    registered = fit_folder(load_model_folder(settings.model_name, "1", tmp_path), EVALUATED)
    own = {path.name: path.read_bytes() for path in (tmp_path / "own").iterdir()}
    assert own == {path.name: path.read_bytes() for path in registered.iterdir()}


def test_who_has_left_gets_nothing(settings: Settings, model: mlflow.pyfunc.PyFuncModel) -> None:
    rows = Job("test", settings, [CUSTOMER_TABLE], []).read_arrow(CUSTOMER_TABLE).to_pylist()
    days = {"c007": AS_OF, "c059": AS_OF + WEEK}
    try:
        put(Path(settings.warehouse), CUSTOMER_TABLE, [r | {"left_date": days.get(r["customer_id"])} for r in rows])
        found = asked(model)
        assert asked(model, ["c007"]).empty
    finally:
        put(Path(settings.warehouse), CUSTOMER_TABLE, rows)
    assert found["customer_id"].tolist() == np.repeat(["c001", "c059"], COUNT).tolist()
    assert found.equals(asked(model, ["c001", "c059"]))


def test_a_later_date_sees_what_was_bought_since_and_nothing_later(model: mlflow.pyfunc.PyFuncModel) -> None:
    assert not asked(model, as_of_date=str(AS_OF + WEEK)).equals(asked(model))
    assert len(asked(model, count=2)) == 2 * len(ASKED)


def test_what_cannot_be_answered_is_said_in_one_line(model: mlflow.pyfunc.PyFuncModel) -> None:
    with pytest.raises(JobError, match=r"2 of 3 customers are unknown, such as 'nobody'"):
        asked(model, ["nobody", "c001", "c999"])
    with pytest.raises(JobError, match="the model learnt from purchases up to 2020-09-16"):
        asked(model, as_of_date=str(AS_OF - timedelta(days=1)))
    with pytest.raises(JobError, match=r"customer_features has nothing as of 2020-09-17; run the features"):
        asked(model, as_of_date=str(AS_OF + timedelta(days=1)))
    with pytest.raises(JobError, match="as_of_date: 'soon' is no day written as YYYY-MM-DD"):
        asked(model, as_of_date="soon")
    with pytest.raises(JobError, match=r"customer_features has nothing as of 2020-09-16; .* --warehouse /nowhere"):
        asked(model, warehouse="/nowhere")
    for count in (0, -1, None):
        with pytest.raises(JobError, match=f"count {count}: must be at least 1"):
            asked(model, count=count)


def test_nobody_gives_an_empty_frame_and_everybody_twice_twice_the_rows(model: mlflow.pyfunc.PyFuncModel) -> None:
    one = asked(model, ["c001"])
    for nobody in (pd.Series([], dtype=str), pd.Series([], dtype=object), np.array([], dtype=object)):
        pd.testing.assert_frame_equal(asked(model, nobody), one.iloc[:0])
    pd.testing.assert_frame_equal(asked(model, ["c001"] * 2), pd.concat([one, one], ignore_index=True))
    everything = asked(model, ["c001"], count=10**12)
    pd.testing.assert_frame_equal(everything[:COUNT], one)
    assert everything["article_id"].is_unique


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        (["c001", None], "1 of 2 customer ids are missing"),
        (["c001", float("nan")], "1 of 2 customer ids are missing"),
        (pd.array(["c001", pd.NA], dtype="string"), "1 of 2 customer ids are missing"),
        (["c001", 7], "1 of 2 customer ids are not strings, such as 7 (int)"),
        ([b"c001"], "1 of 1 customer ids are not strings, such as b'c001' (bytes)"),
        ([{"id": 1}], "1 of 1 customer ids are not strings, such as {'id': 1} (dict)"),
        (["C001"], "1 of 1 customers are unknown, such as 'C001'"),
        ([" c001"], "1 of 1 customers are unknown, such as ' c001'"),
    ],
)
def test_what_is_no_customer_is_named(model: mlflow.pyfunc.PyFuncModel, given: Any, complaint: str) -> None:
    with pytest.raises(JobError, match=re.escape(complaint)):
        asked(model, given)


def test_other_forms_than_a_frame(model: mlflow.pyfunc.PyFuncModel) -> None:
    """A form that names its column is taken; MLflow refuses others before the model sees them, and names the column."""
    expected = asked(model)
    for named in ({"customer_id": ASKED}, pd.Series(ASKED, name="customer_id"), [{"customer_id": i} for i in ASKED]):
        pd.testing.assert_frame_equal(model.predict(named), expected)
    assert model.predict({"customer_id": []}).empty
    for unnamed in (ASKED, np.array(ASKED), pd.Series(ASKED), "c007", pd.DataFrame({"customer": ASKED})):
        with pytest.raises(mlflow.MlflowException, match=r"Model is missing inputs \['customer_id'\]"):
            model.predict(unnamed)


@given(st.lists(st.text(st.characters()) | st.none() | st.integers() | st.binary() | st.lists(st.floats()), max_size=5))
def test_ids_are_taken_as_they_are_or_refused_in_one_line(values: list) -> None:
    try:
        found = pyfunc._ids(pd.Series(values, dtype=object))
    except JobError as error:
        assert len(str(error).splitlines()) == 1
        assert not all(isinstance(value, str) for value in values) or "is no text" in str(error)
    else:
        assert found.to_pylist() == values


def test_the_files_are_plain_and_signed(settings: Settings, model: mlflow.pyfunc.PyFuncModel, tmp_path: Path) -> None:
    folder = load_model_folder(settings.model_name, "1", tmp_path)
    endings = {path.suffix for path in folder.rglob("*") if path.is_file()}
    assert endings <= {".safetensors", ".json", ".txt", ".yaml", ".py", ".md", ""}, endings
    signature = model.metadata.signature
    assert signature.inputs.input_names() == ["customer_id"]
    assert {param.name: param.default for param in signature.params} == {
        "as_of_date": "2020-09-16", "warehouse": settings.warehouse, "count": COUNT
    }  # fmt: skip


def test_the_requirements_are_what_predicting_needs(settings: Settings, tmp_path: Path) -> None:
    folder = load_model_folder(settings.model_name, "1", tmp_path)
    names = {line.partition("==")[0] for line in (folder / "requirements.txt").read_text().splitlines()}
    needed = {"deltalake", "faiss-cpu", "lightgbm", "mlflow", "numpy", "pandas", "polars", "pyarrow", "pydantic"}
    needed |= {"pydantic-settings", "pytorch-lightning", "safetensors", "scipy", "torch", "torchmetrics"}
    assert names == needed | {"implicit", "threadpoolctl"}, "the last two for als alone"


def test_the_card_says_what_it_learnt_from(settings: Settings, tmp_path: Path) -> None:
    card = mlflow.MlflowClient().get_model_version(settings.model_name, "1").description
    purchases = make_purchases().before(AS_OF)
    assert f"| purchases | {len(purchases):,} units, 2020-07-01 to 2020-09-15 |" in card
    assert "| evaluated | 2 | 2020-07-29 to 2020-08-05 |" in card and "| final | 2 | 2020-09-02 to 2020-09-09 |" in card
    assert "further candidate sources | als, gru" in card and "Apache-2.0" in card
    assert (load_model_folder(settings.model_name, "1", tmp_path) / "README.md").read_text() == card
    describe_version(settings.model_name, "1", "Evaluation", "Good.")
    assert (load_model_folder(settings.model_name, "1", tmp_path / "2") / "README.md").read_text().endswith("Good.\n")


def elsewhere(*command: str, folder: Path, settings: Settings) -> subprocess.CompletedProcess[str]:
    """Run Python with nothing of the project at hand."""
    folder.mkdir()
    return subprocess.run(
        [sys.executable, *command],
        env={"MLFLOW_TRACKING_URI": settings.tracking_uri, "PATH": str(Path(sys.executable).parent)},
        cwd=folder, check=False, capture_output=True, text=True,
    )  # fmt: skip


ASK = """
import sys
sys.modules |= dict.fromkeys(["pyspark", "great_expectations", "skimage"])  # as if they were not installed
import mlflow, pandas
model = mlflow.pyfunc.load_model(sys.argv[1])
model.predict(pandas.DataFrame({"customer_id": sys.argv[3:]})).to_json(sys.argv[2])
import jobs
print(jobs.__file__)
"""


@pytest.mark.slow
def test_it_predicts_with_nothing_of_the_project_at_hand(
    settings: Settings, model: mlflow.pyfunc.PyFuncModel, tmp_path: Path
) -> None:
    folder = shutil.copytree(load_model_folder(settings.model_name, "1", tmp_path / "1"), tmp_path / "model")
    picks = tmp_path / "picks.json"
    command = ["-I", "-c", ASK, str(folder), str(picks), *ASKED]
    said = elsewhere(*command, folder=tmp_path / "empty", settings=settings)
    assert said.stdout.split() == [str(folder / "code" / "jobs" / "__init__.py")], said.stderr
    found = pd.read_json(picks, dtype={"article_id": str})
    pd.testing.assert_frame_equal(found, asked(model), check_dtype=False)
    with (folder / "data" / "fits" / "final" / "boosted_trees.txt").open("a") as trees:
        trees.write("\n")
    said = elsewhere(*command, folder=tmp_path / "damaged", settings=settings)
    assert "damaged or missing, such as data/fits/final/boosted_trees.txt" in said.stderr.splitlines()[-1]


@pytest.mark.slow
def test_mlflows_own_command_predicts(settings: Settings, model: mlflow.pyfunc.PyFuncModel, tmp_path: Path) -> None:
    given, out = tmp_path / "customers.csv", tmp_path / "picks.json"
    given.write_text("customer_id\n" + "\n".join(ASKED) + "\n")
    command = ["models", "predict", "-m", f"models:/{settings.model_name}@champion", "--env-manager", "local"]
    paths = ["-i", str(given), "-t", "csv", "-o", str(out)]
    said = elsewhere("-m", "mlflow", *command, *paths, folder=tmp_path / "empty", settings=settings)
    assert out.exists(), said.stderr
    found = pd.DataFrame(json.loads(out.read_text())["predictions"])
    pd.testing.assert_frame_equal(found, asked(model), check_dtype=False)
