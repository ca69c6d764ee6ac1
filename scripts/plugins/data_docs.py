"""Data Docs and reports in Airflow's UI: under Browse, on each run, and as pages below /data-docs and /reports.

The pages are those of the warehouse that Airflow serves (ATELIER_WAREHOUSE), for whoever is logged in. A browser opens
no file from a page that came by HTTP, so that links to the files themselves would be dead.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from airflow.plugins_manager import AirflowPlugin
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

ROOT = Path(__file__).resolve().parents[2]


#: Folder of the warehouse -> what it holds, as an error calls it, and when a page is there.
SITES = {
    "data_docs": ("Data Docs", "once a task has checked its rows"),
    "reports": ("Reports", "once the task reports.run_page has written it"),
}


class Pages:
    """The pages in one folder of the warehouse.

    Args:
        site: the folder, of SITES.
    """

    def __init__(self, site: str) -> None:
        self.site = site
        self.name, self.when = SITES[site]
        self.application = Starlette(
            routes=[
                Route("/", lambda request: RedirectResponse(f"{request.scope['root_path']}/index.html")),
                Route("/runs/{run_id:path}", self.run),
                Route("/{path:path}", self.page),
            ],
            exception_handlers={HTTPException: words},
        )

    def folder(self) -> Path:
        """Where the pages are. Raises HTTPException where they are in an object store."""
        warehouse = os.environ.get("ATELIER_WAREHOUSE") or "warehouse"
        if "://" in warehouse:
            raise HTTPException(404, f"{self.name} are in the object store: {warehouse}/{self.site}/index.html")
        return (ROOT / warehouse / self.site).resolve()

    def page(self, request: Request) -> Response:
        """A page by its path below the folder. Raises HTTPException where there is none."""
        folder = self.folder()
        path = (folder / request.path_params["path"]).resolve()
        if not path.is_file() or path.suffix != ".html" or not path.is_relative_to(folder):
            raise HTTPException(404, f"No such page in {folder}: it is there {self.when}.")
        return FileResponse(path)

    def run(self, request: Request) -> Response:
        """To the page of an Airflow run, whose folder may be named otherwise."""
        run_id = request.path_params["run_id"]
        for file in self.folder().glob("*/run.json"):
            records = json.loads(file.read_text(encoding="utf-8"))
            if records and records[0].get("run_id") == run_id:
                return RedirectResponse(f"{request.scope['root_path']}/{file.parent.name}/index.html")
        raise HTTPException(404, f"No page of {run_id} in {self.folder()}: it is there {self.when}.")


async def words(_: Request, error: Exception) -> Response:
    """An error as a line of text."""
    assert isinstance(error, HTTPException)
    return PlainTextResponse(error.detail, error.status_code)


class LoggedIn:
    """Lets those pass who are logged in to Airflow, and sends others to its login."""

    def __init__(self, application: Starlette) -> None:
        self._application = application

    async def __call__(self, scope, receive, send) -> None:  # type: ignore[no-untyped-def]  # ASGI
        # Not above: every process of Airflow reads this file, and tasks may not import the server.
        from airflow.api_fastapi.app import get_auth_manager
        from airflow.api_fastapi.core_api.security import get_user
        from fastapi import HTTPException as Refused

        if scope["type"] == "http":
            request = Request(scope)
            try:
                await get_user(request, None, None)
            except Refused:
                login = get_auth_manager().get_url_login(next_url=str(request.url))
                await RedirectResponse(login)(scope, receive, send)
                return
        await self._application(scope, receive, send)


DATA_DOCS, REPORTS = Pages("data_docs").application, Pages("reports").application
_OF_RUN = {"name": "Data Docs", "href": "data-docs/runs/{RUN_ID}"}
_REPORT = {"name": "Report", "href": "reports/runs/{RUN_ID}", "destination": "dag_run", "url_route": "report_of_run"}


class DataDocsPlugin(AirflowPlugin):
    """Read by Airflow at start (AIRFLOW__CORE__PLUGINS_FOLDER)."""

    name = "data_docs"
    fastapi_apps = [  # noqa: RUF012
        {"app": LoggedIn(DATA_DOCS), "url_prefix": "/data-docs", "name": "Data Docs"},
        {"app": LoggedIn(REPORTS), "url_prefix": "/reports", "name": "Reports"},
        {"app": LoggedIn(DATA_DOCS), "url_prefix": "/data_docs", "name": "Data Docs, as reports link to them"},
    ]
    external_views = [  # noqa: RUF012
        {"name": "Data Docs", "href": "data-docs/index.html", "url_route": "data_docs", "category": "browse"},
        {"name": "Reports", "href": "reports/index.html", "url_route": "reports", "category": "browse"},
        _REPORT,
        _OF_RUN | {"destination": "dag_run", "url_route": "data_docs_of_run"},
        _OF_RUN | {"destination": "task_instance", "url_route": "data_docs_of_task"},
    ]
