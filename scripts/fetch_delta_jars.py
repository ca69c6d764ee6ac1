"""Puts Delta's jars beside Spark's own, once, so that no job resolves them (and needs the network) at start.

Spark's own resolver fetches them with what they depend on; jars that Spark already brings, in whatever
version, are left out. Run by scripts/setup.sh in the jobs environment.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

import pyspark


def artifact(jar: str) -> str:
    """The artifact a jar file holds: its name without the version. `delta-storage-4.4.0.jar` -> `delta-storage`."""
    return re.sub(r"-\d[\d.]*(-[\w.]+)?\.jar$", "", jar)


def coordinates() -> str:
    """Delta's Maven coordinates that go with the installed delta-spark and pyspark."""
    spark = ".".join(version("pyspark").split(".")[:2])
    return f"io.delta:delta-spark_{spark}_2.13:{version('delta-spark')}"


def resolve(package: str, folder: Path) -> list[Path]:
    """Fetches `package` and all it depends on into `folder`; the jars. Raises SystemExit with the resolver's words."""
    home = Path(pyspark.__file__).parent
    nothing = folder / "nothing.py"  # an application that does nothing: the resolver works before it starts
    nothing.touch()
    command = [str(home / "bin" / "spark-submit"), "--packages", package]
    command += ["--conf", f"spark.jars.ivy={folder}", str(nothing)]
    environment = os.environ | {"SPARK_HOME": str(home), "PYSPARK_PYTHON": sys.executable}
    outcome = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if outcome.returncode != 0:
        sys.exit(f"error: {package} could not be fetched from Maven Central:\n{outcome.stderr[-2000:]}")
    return sorted((folder / "jars").glob("*.jar"))


def main() -> None:
    """Copies the jars that are missing beside Spark's."""
    target = Path(pyspark.__file__).parent / "jars"
    present = {artifact(jar.name) for jar in target.glob("*.jar")}
    print(f"==> fetching {coordinates()} with Spark's resolver")
    with tempfile.TemporaryDirectory() as folder:
        for jar in resolve(coordinates(), Path(folder)):
            name = jar.name.partition("_")[2]  # the resolver writes <organisation>_<file>
            if artifact(name) not in present:
                shutil.copyfile(jar, target / name)


if __name__ == "__main__":
    main()
