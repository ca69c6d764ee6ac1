"""What a Spark application records of itself, read while it runs or afterwards."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def recorded(folder: Path) -> dict[str, str]:
    """Settings that make an application write its events into one file in the folder, which is made."""
    folder.mkdir()
    return {
        "spark.eventLog.enabled": "true",
        "spark.eventLog.dir": folder.as_uri(),
        "spark.eventLog.compress": "false",
        "spark.eventLog.rolling.enabled": "false",
    }


def events(folder: Path, kind: str) -> list[dict[str, Any]]:
    """The events of this kind ("TaskEnd") that were written so far."""
    lines = [line for file in folder.iterdir() for line in file.read_text().splitlines(keepends=True)]
    name = f'"Event":"SparkListener{kind}"'
    return [json.loads(line) for line in lines if name in line and line.endswith("\n")]


def stages_done(folder: Path) -> list[dict[str, Any]]:
    """The stages that were completed, but for those of one task: they have nothing to share out."""
    stages = (event["Stage Info"] for event in events(folder, "StageCompleted"))
    return [stage for stage in stages if stage["Number of Tasks"] > 1 and "Failure Reason" not in stage]
