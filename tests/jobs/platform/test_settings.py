"""Parameters: limits, where a value comes from, and the dates that follow from them."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from pydantic import ValidationError
from pydantic_settings import CliApp, SettingsError
from sqlalchemy import create_engine

from jobs.platform.dag_interface import modules
from jobs.platform.settings import COMMON, Settings
from tests.jobs.platform.reach import settings_of

AS_OF = date(2020, 9, 16)


def cli(*arguments: str) -> Settings:
    return CliApp.run(Settings, cli_args=["--as-of-date", "2020-09-16", *arguments])


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("top_k", [1, 30], [0, 31, "many"]),
        ("max_quarantine_share", [0, 1], [-0.01, 1.01]),
        ("max_bad_image_share", [0, 1], [-0.01, 1.01]),
        ("training_weeks", [0, "auto", 2, 52], [1, 53, "few"]),
        ("max_epochs", [1, 200], [0, 201]),
        ("embedding_dim", [2, 2048], [1, 2049]),
        ("colour_tolerance", [0.5, 100], [0, 101]),
        ("colour_limit", [1, 100], [0, 101]),
        ("keyword_method", ["tfidf", "yake"], ["rake"]),
        ("seed", [0], [-1]),
        ("backtest_weeks", [0, 52], [-1, 53]),
        ("backtest_week", [1, 52], [0, 53]),
        ("encoder", ["efficientnet_lite0", "efficientnet_lite0_colour", "resnet152", "align", "catalogue"], ["vgg"]),
        ("extra_sources", [(), "", "als", "gru,als"], ["bpr", "als,bpr", "gru_features", 1]),
        ("as_of_date", ["2020-09-16"], ["2020-13-01", "yesterday"]),
    ],
)
def test_limits(name, good, bad):
    for value in good:
        Settings(**{"as_of_date": AS_OF, name: value})
    for value in bad:
        with pytest.raises(ValidationError, match=name):
            Settings(**{"as_of_date": AS_OF, name: value})


def test_extra_sources_are_named_with_commas_between_each_once_in_one_order(monkeypatch):
    assert cli().extra_sources == ()
    assert cli("--extra-sources", "gru, als,gru").extra_sources == ("als", "gru")
    assert cli("--extra-sources=").extra_sources == ()
    monkeypatch.setenv("ATELIER_EXTRA_SOURCES", "user_knn,item_knn")
    assert cli().extra_sources == ("item_knn", "user_knn")


def test_the_as_of_date_has_no_default():
    with pytest.raises(ValidationError, match="as_of_date"):
        Settings()


def test_unknown_parameters_are_refused():
    with pytest.raises(ValidationError, match="topk"):
        Settings(as_of_date=AS_OF, topk=3)


def test_the_command_line_beats_the_environment_beats_the_default(monkeypatch):
    assert cli().top_k == 12
    monkeypatch.setenv("ATELIER_TOP_K", "20")
    monkeypatch.setenv("ATELIER_AS_OF_DATE", "2020-09-09")
    assert (cli().top_k, cli("--top-k", "7").top_k, Settings().as_of_date) == (20, 7, date(2020, 9, 9))


def test_flags_are_kebab_case_and_empty_means_absent():
    settings = cli("--exclude-bought", "true", "--weights-dir", "", "--mlflow-tracking-uri", "", "--data", "/d")
    assert (settings.exclude_bought, settings.weights_dir, settings.mlflow_tracking_uri) == (True, None, None)
    assert settings.data == "/d"


def test_dates_of_a_backtest():
    """The model as of the oldest of its weeks needs as many dates as any run."""
    settings = Settings(as_of_date=AS_OF, training_weeks=2, backtest_weeks=3)
    weeks = [AS_OF - timedelta(7 * n) for n in range(15)]
    oldest = settings.model_copy(update={"as_of_date": weeks[3]})
    assert settings.snapshot_dates == weeks[:8]
    assert settings.feature_dates == weeks[:11] and settings.feature_dates[-1] == oldest.snapshot_dates[-1]
    assert settings.interaction_weeks == weeks[1:15]


def test_dates_of_a_run():
    settings = Settings(as_of_date=AS_OF, training_weeks=2)
    # its own, four folds, the validation week, two to learn from
    assert settings.snapshot_dates == [AS_OF - timedelta(7 * n) for n in range(8)]
    assert settings.interaction_weeks == [AS_OF - timedelta(7 * n) for n in range(1, 12)]


def test_the_tracking_store_is_beside_the_tables(tmp_path):
    settings = Settings(as_of_date=AS_OF, warehouse=str(tmp_path))
    assert settings.tracking_uri == f"sqlite:///{tmp_path}/mlflow/mlflow.db"
    with pytest.raises(ValueError, match="mlflow-tracking-uri must be given"):
        _ = Settings(as_of_date=AS_OF, warehouse="s3://bucket/warehouse").tracking_uri


@pytest.mark.parametrize("name", ["shop?A", "50%", "a#b", "Größe Läden"])
def test_a_folder_of_any_name_has_a_tracking_store_of_its_own(tmp_path, name):
    settings = Settings(as_of_date=AS_OF, warehouse=str(tmp_path / name))
    engine = create_engine(settings.tracking_uri)  # as MLflow opens it
    (tmp_path / name / "mlflow").mkdir(parents=True)
    engine.connect().close()
    assert [path.name for path in (tmp_path / name / "mlflow").iterdir()] == ["mlflow.db"]


def test_a_job_has_its_own_settings_and_those_of_all():
    mine = Settings.of("some.job", ["top_k", "training_weeks"])
    assert set(mine.model_fields) == {*COMMON, "top_k", "training_weeks"}
    settings = CliApp.run(mine, cli_args=["--as-of-date", "2020-09-16", "--top-k", "3"])
    assert isinstance(settings, Settings)
    assert (settings.top_k, settings.run_id, settings.training_weeks) == (3, "manual", 0)
    with pytest.raises(AssertionError, match="with_training_weeks"):
        _ = settings.snapshot_dates
    with pytest.raises(SettingsError, match="--seed 1"):
        CliApp.run(mine, cli_args=["--as-of-date", "2020-09-16", "--seed", "1"])


@pytest.mark.parametrize(("ask", "setting"), [("seed", "seed"), ("feature_dates", "backtest_weeks")])
def test_an_undeclared_setting_is_one_clear_line(ask, setting):
    settings = Settings.of("some.job", ["training_weeks"])(as_of_date=AS_OF, training_weeks=2)
    with pytest.raises(AttributeError, match=f"^some.job uses the setting {setting} without declaring it in SETTINGS$"):
        getattr(settings, ask)
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = settings.nonsense


def test_a_setting_that_does_not_exist_cannot_be_declared():
    with pytest.raises(AssertionError, match=r"some\.job declares the setting topk, which is not in Settings"):
        Settings.of("some.job", ["topk"])


#: Settings that a job overwrites before anything reads them.
OVERWRITTEN = {
    "similarity.quality": {"encoder", "text_encoder", "method"},
    "similarity.similar_articles": {"encoder", "text_encoder"},
}
#: Systems that a job imports by name and that take its settings.
IMPORTED = {"evaluation.weekly_protocol": ("ranking.two_stage", "recommenders.embedding_filtering")}


@pytest.mark.parametrize("module", list(modules()), ids=lambda module: module.__name__)
def test_a_job_takes_the_settings_that_it_can_come_to_use_and_no_other(module):
    job = module.__name__.removeprefix("jobs.")
    taken = settings_of(job).union(*(settings_of(system, "fit") for system in IMPORTED.get(job, ())))
    assert set(module.SETTINGS) == taken - OVERWRITTEN.get(job, set())
    assert len(set(module.SETTINGS)) == len(module.SETTINGS)
