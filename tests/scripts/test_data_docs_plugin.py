"""Data Docs and reports as Airflow's server shows them to who is logged in."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from scripts.plugins.data_docs import DATA_DOCS, REPORTS, DataDocsPlugin

RUN = "manual__2026-11-26T12:00:00+00:00"


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TestClient:
    run = tmp_path / "data_docs" / "manual__2026-12345678"
    run.mkdir(parents=True)
    (run.parent / "index.html").write_text("all runs")
    (run / "index.html").write_text("one run")
    (run / "run.json").write_text(json.dumps([{"run_id": RUN}]))
    (tmp_path / "secret.html").write_text("secret")
    monkeypatch.setenv("ATELIER_WAREHOUSE", str(tmp_path))
    return TestClient(DATA_DOCS)


def test_pages_are_shown_by_path_and_by_the_id_of_a_run(client: TestClient) -> None:
    assert client.get("/").text == "all runs"
    answer = client.get(f"/runs/{RUN}")
    assert (answer.text, answer.url.path) == ("one run", "/manual__2026-12345678/index.html")
    assert "No page of demo in" in client.get("/runs/demo").text


def test_reports_are_pages_of_their_own(client: TestClient, tmp_path: Path) -> None:
    week = tmp_path / "reports" / "2020-09-23"
    week.mkdir(parents=True)
    (week / "index.html").write_text("the week")
    (week / "run.json").write_text(json.dumps([{"run_id": RUN}]))
    reports = TestClient(REPORTS)
    assert reports.get(f"/runs/{RUN}").text == "the week"
    assert "once the task reports.run_page has written it" in reports.get("/2020-09-16/index.html").text


@pytest.mark.parametrize("path", ["/%2e%2e/secret.html", "/manual__2026-12345678/run.json", "/none.html", "/tables"])
def test_nothing_else_is_shown(client: TestClient, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 404 and "secret" not in answer.text


def test_of_an_object_store_the_address_is_said(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ATELIER_WAREHOUSE", "s3://shop/warehouse")
    answer = client.get("/index.html")
    assert (answer.status_code, answer.text.rpartition(" ")[2]) == (404, "s3://shop/warehouse/data_docs/index.html")


def test_each_run_and_task_has_a_link() -> None:
    views = {(view["name"], view.get("destination", "nav")): view["href"] for view in DataDocsPlugin.external_views}
    assert views == {
        ("Data Docs", "nav"): "data-docs/index.html",
        ("Data Docs", "dag_run"): "data-docs/runs/{RUN_ID}",
        ("Data Docs", "task_instance"): "data-docs/runs/{RUN_ID}",
        ("Reports", "nav"): "reports/index.html",
        ("Report", "dag_run"): "reports/runs/{RUN_ID}",
    }
