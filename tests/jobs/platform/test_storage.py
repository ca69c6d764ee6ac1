"""What each library is told about a location, and the one line that a run ends with when nothing answers there."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pyarrow.fs as pafs
import pytest

from jobs.platform import storage
from jobs.platform.errors import JobError
from tests.object_store.server import BUCKET, ObjectStore, serving

ABFSS = "abfss://things@account.dfs.core.windows.net"
NOWHERE = "http://127.0.0.1:1"  # nothing listens on this port


@pytest.fixture(autouse=True)
def no_store(monkeypatch: pytest.MonkeyPatch) -> None:
    """No variable of any store is set."""
    for name in [name for name in os.environ if name.startswith(("AWS_", "AZURE_", "GOOGLE_"))]:
        monkeypatch.delenv(name)


@pytest.fixture(scope="module")
def server() -> Iterator[ObjectStore]:
    with serving() as store:
        yield store


@pytest.fixture
def store(server: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> ObjectStore:
    """The server, as this process's S3."""
    server.enter(monkeypatch)
    return server


@pytest.mark.parametrize(
    ("written", "normalized"),
    [
        ("s3://bucket/warehouse/", "s3://bucket/warehouse"),
        ("s3a://bucket/warehouse", "s3://bucket/warehouse"),
        ("s3n://bucket", "s3://bucket"),
        ("gcs://bucket/images", "gs://bucket/images"),
        (f"{ABFSS}/x//", f"{ABFSS}/x"),
        ("file:///data/h%26m/", "/data/h&m"),
        ("/data/h&m/", "/data/h&m"),
        (Path("/data/../warehouse"), "/warehouse"),
    ],
)
def test_a_location_is_written_one_way(written: str | Path, normalized: str) -> None:
    assert storage.normalized(written) == normalized
    assert storage.normalized(normalized) == normalized


def test_a_relative_folder_is_made_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert storage.normalized("warehouse/") == str(tmp_path.resolve() / "warehouse")


@pytest.mark.parametrize("uri", ["hdfs://host/x", "https://host/x", "s3://", "abfss://things/x", "abfss://c@host/x"])
def test_other_stores_are_refused(uri: str) -> None:
    with pytest.raises(JobError, match="neither a folder nor s3://BUCKET"):
        storage.normalized(uri)


def test_folders_and_uris_are_told_apart() -> None:
    assert [storage.is_uri(x) for x in ("s3://b/x", ABFSS, "gs://b")] == [True] * 3
    assert [storage.is_uri(x) for x in ("/x", "x:y", Path("x"), "file:///x")] == [False] * 4


def test_spark_opens_s3_by_another_name() -> None:
    assert storage.spark_uri("s3://bucket/s3://x") == "s3a://bucket/s3://x"
    assert [storage.spark_uri(x) for x in ("/s3", "gs://b/x", ABFSS)] == ["/s3", "gs://b/x", ABFSS]


def test_nothing_is_set_that_the_environment_does_not_say() -> None:
    assert not any("endpoint" in name or "account" in name for name in storage.spark_settings())
    assert storage.storage_options("/folder") is None
    options = storage.storage_options("s3a://bucket/x") or {}
    assert options.keys() == {"connect_timeout", "aws_conditional_put", "aws_force_credential_load"}


@pytest.mark.parametrize(
    ("endpoint", "is_plain"), [("http://127.0.0.1:9000", True), ("https://store.example", False)], ids=["http", "https"]
)
def test_an_endpoint_is_told_to_spark_and_deltalake(
    endpoint: str, is_plain: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://of-all-services")
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", endpoint)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    settings = storage.spark_settings()
    assert settings["spark.hadoop.fs.s3a.endpoint"] == endpoint
    assert settings["spark.hadoop.fs.s3a.path.style.access"] == "true"
    assert settings["spark.hadoop.fs.s3a.connection.ssl.enabled"] == str(not is_plain).lower()
    assert storage.storage_options("s3://bucket/x") == {
        "connect_timeout": "5s",
        "aws_conditional_put": "etag",
        "aws_endpoint_url": endpoint,
        "aws_allow_http": str(is_plain).lower(),
        "aws_region": "us-east-1",
    }
    assert storage.storage_options("gs://bucket/x") == {"connect_timeout": "5s"}


@pytest.mark.parametrize("name", ["AWS_REGION", "AWS_DEFAULT_REGION"])
def test_the_region_is_told_to_spark_and_deltalake(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "eu-north-1")
    assert storage.spark_settings()["spark.hadoop.fs.s3a.endpoint.region"] == "eu-north-1"
    assert (storage.storage_options("s3://bucket/x") or {})["aws_region"] == "eu-north-1"


def test_no_setting_holds_a_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    secrets = ("AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID", "AZURE_CLIENT_SECRET", "AZURE_STORAGE_ACCOUNT_KEY")
    for name in secrets:
        monkeypatch.setenv(name, "hidden")
    with_key = storage.spark_settings()
    monkeypatch.delenv("AZURE_STORAGE_ACCOUNT_KEY")
    with_application = storage.spark_settings()
    assert with_key["spark.hadoop.fs.azure.account.key"] == "${env.AZURE_STORAGE_ACCOUNT_KEY}"
    assert with_application["spark.hadoop.fs.azure.account.oauth2.client.secret"] == "${env.AZURE_CLIENT_SECRET}"
    told = [with_key, with_application, *(storage.storage_options(x) for x in ("s3://b", "gs://b", ABFSS))]
    assert not any("hidden" in value for options in told for value in (options or {}).values())


def test_a_file_system_knows_its_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_REGION", "eu-north-1")
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_KEY", "a2V5")
    found = [storage.filesystem(x) for x in (str(tmp_path), "s3a://bucket/x?/#y", "gs://bucket/x", f"{ABFSS}/x")]
    assert [path for _, path in found] == [str(tmp_path), "bucket/x?/#y", "bucket/x", "things/x"]
    kinds = [pafs.LocalFileSystem, pafs.S3FileSystem, pafs.GcsFileSystem, pafs.AzureFileSystem]
    assert [type(filesystem) for filesystem, _ in found] == kinds


def test_a_file_system_goes_where_the_environment_says_now(store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
    filesystem, path = storage.filesystem(f"s3://{BUCKET}/file")
    with filesystem.open_output_stream(path) as file:
        file.write(b"here")
    again, _ = storage.filesystem(f"s3://{BUCKET}/file")
    assert again is filesystem and again.open_input_file(path).read() == b"here"
    monkeypatch.setenv("AWS_ENDPOINT_URL", NOWHERE)
    with pytest.raises(OSError, match="onnect"):
        storage.filesystem(f"s3://{BUCKET}/file")[0].get_file_info(path)


def test_a_folder_need_not_be_there(tmp_path: Path) -> None:
    storage.require_reachable(str(tmp_path / "not yet"))


def test_a_bucket_that_is_there_is_reachable_anywhere_below(store: ObjectStore) -> None:
    for location in (f"s3://{BUCKET}", f"s3://{BUCKET}/not yet/é"):
        storage.require_reachable(location, by_spark=False)


def refusal(location: str) -> str:
    """The one line by which the location is refused, in seconds."""
    began = time.monotonic()
    with pytest.raises(JobError) as refused:
        storage.require_reachable(location, by_spark=False)
    assert time.monotonic() - began < 15
    assert "\n" not in str(refused.value)
    return str(refused.value)


S3_VARIABLES = (
    "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (or AWS_PROFILE), AWS_REGION, AWS_ENDPOINT_URL unless it is AWS"
)


def test_a_bucket_that_is_missing(store: ObjectStore) -> None:
    told = f"s3://nobody/x: there is no such bucket at {store.url} (NoSuchBucket); make it, or give another"
    assert refusal("s3://nobody/x") == told


def test_credentials_that_are_wrong(store: ObjectStore) -> None:
    with store.refusing():
        told = refusal(f"s3://{BUCKET}/x")
    assert told == f"s3://{BUCKET}/x: credentials are wrong or missing (InvalidAccessKeyId); {S3_VARIABLES}"


def test_credentials_that_are_missing(store: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "missing"))
    told = refusal(f"s3://{BUCKET}/x")
    assert told == f"s3://{BUCKET}/x: credentials are wrong or missing (no credentials found); {S3_VARIABLES}"


def test_credentials_of_a_profile(store: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    (tmp_path / "credentials").write_text("[weekly]\naws_access_key_id = a\naws_secret_access_key = b\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_PROFILE", "weekly")
    storage.require_reachable(f"s3://{BUCKET}/x", by_spark=False)


def test_an_endpoint_where_nothing_answers(store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", NOWHERE)
    told = refusal(f"s3://{BUCKET}/x")
    assert told.startswith(f"s3://{BUCKET}/x: the store does not answer (Connection refused")
    assert told.endswith(S3_VARIABLES)


def test_no_region_of_aws() -> None:
    assert refusal("s3://b/x") == "s3://b/x: no region; set AWS_REGION, or AWS_ENDPOINT_URL unless it is AWS"


def test_a_key_file_of_google_that_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "key.json"))
    told = refusal("gs://b/x")
    assert told.startswith("gs://b/x: credentials are wrong or missing (No such file")
    assert told.endswith("set GOOGLE_APPLICATION_CREDENTIALS")


def test_spark_without_the_connector(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "_lacks_connector", lambda scheme: True)
    with pytest.raises(JobError) as refused:
        storage.require_reachable("gs://b/x")
    assert str(refused.value) == "gs://b/x: Spark has no connector for gs://; run `ATELIER_OBJECT_STORE=gs make setup`"


def test_a_connector_is_looked_for_among_the_set_ups_jars(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pyspark = pytest.importorskip("pyspark")
    monkeypatch.setattr(pyspark, "__file__", str(tmp_path / "__init__.py"))
    monkeypatch.setenv("SPARK_HOME", str(tmp_path))
    (tmp_path / "jars").mkdir()
    (tmp_path / "jars" / "hadoop-aws-3.5.0.jar").touch()
    assert [storage._lacks_connector(scheme) for scheme in ("s3", "abfss", "gs")] == [False, True, True]
    monkeypatch.setenv("SPARK_HOME", "/opt/another-spark")
    assert not storage._lacks_connector("gs")
