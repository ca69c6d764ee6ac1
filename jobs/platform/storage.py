"""Where a warehouse, data or images lie: a folder, s3://, abfss:// or gs://; and what each library needs to go there.

Endpoint, region and credentials come from the standard environment variables of each store (`_VARIABLES`), here and on
Spark's workers. Credentials stay there: every library reads them itself, and no setting holds one.
"""

from __future__ import annotations

import os
import re
from datetime import timedelta
from functools import lru_cache
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pyarrow.fs as pafs
from deltalake import DeltaTable

from jobs.platform.errors import JobError

#: Other names of a scheme.
_ALIASES = {"s3a": "s3", "s3n": "s3", "gcs": "gs"}

#: Scheme -> Hadoop's connector, which Spark opens it with.
_CONNECTORS = {"s3": "hadoop-aws", "abfss": "hadoop-azure", "gs": "hadoop-gcp"}

#: Scheme -> the environment variables it goes by.
_VARIABLES = {
    "s3": "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (or AWS_PROFILE), AWS_REGION, AWS_ENDPOINT_URL unless it is AWS",
    "abfss": "AZURE_STORAGE_ACCOUNT_KEY, or AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET",
    "gs": "GOOGLE_APPLICATION_CREDENTIALS",
}

#: Seconds that a connection may take to open, and that Google's library tries for.
CONNECT_SECONDS, TRY_SECONDS = 5, 20

_ACCOUNT = r"[^@/]+@\w+\.dfs\.core\.windows\.net(/|$)"
#: deltalake takes %20 for a space, brackets for a host, a backslash for a slash, and gives no history behind # or ?;
#: Spark takes the others for wildcards.
_NO_TABLE_PATH = re.compile(r"%[0-9A-Fa-f]{2}|[\[\]{}*#?\\]")
_ONE_LOOK = {"timeout": "10s", "max_retries": "1", "retry_timeout": "5s"}
_NO_BUCKET = re.compile("NoSuchBucket|ContainerNotFound|FilesystemNotFound|The specified bucket does not exist")
_REFUSED = re.compile("403 Forbidden|401 Unauthorized|/api/token|token request|service account|no credentials")


def is_uri(location: str | Path) -> bool:
    """Whether it is in an object store, not a folder."""
    return "://" in str(location) and not str(location).startswith("file://")


def normalized(location: str | Path) -> str:
    """The one way to write it: a folder's absolute path, or a URI; without slash at the end.

    Raises JobError for a URI of no store that is known.
    """
    text = str(location)
    if not is_uri(text):
        return str(Path(unquote(urlsplit(text).path) if text.startswith("file://") else text).resolve())
    scheme, _, rest = text.rstrip("/").partition("://")
    scheme = _ALIASES.get(scheme, scheme)
    if scheme not in _CONNECTORS or not rest or (scheme == "abfss" and not re.match(_ACCOUNT, rest)):
        known = "s3://BUCKET/..., gs://BUCKET/... or abfss://CONTAINER@ACCOUNT.dfs.core.windows.net/..."
        raise JobError(f"{location}: neither a folder nor {known}")
    return f"{scheme}://{rest}"


def require_table_path(location: str) -> None:
    """Raises JobError where deltalake and Spark do not find a folder of that name again."""
    if not is_uri(location) and (found := _NO_TABLE_PATH.search(location)):
        raise JobError(
            f"{location}: no table can lie there, since {found[0]!r} in a folder's name is read as something else;"
            " give a --warehouse without it"
        )


def spark_uri(location: str) -> str:
    """What Spark opens it by."""
    return re.sub("^s3://", "s3a://", location)


def spark_settings() -> dict[str, str]:
    """Settings of a Spark session that goes to object stores; one that does not may have them too."""
    settings = {
        "fs.s3a.aws.credentials.provider": "software.amazon.awssdk.auth.credentials.DefaultCredentialsProvider",
        "fs.s3a.connection.establish.timeout": "15s",  # the least it takes
        "fs.s3a.attempts.maximum": "3",
        "fs.s3a.retry.limit": "3",
        "fs.azure.io.retry.max.retries": "3",
        "fs.gs.auth.type": "APPLICATION_DEFAULT",
    }
    if endpoint := _s3_endpoint():
        settings |= {"fs.s3a.endpoint": endpoint, "fs.s3a.path.style.access": "true"}
        settings["fs.s3a.connection.ssl.enabled"] = "false" if endpoint.startswith("http://") else "true"
    if region := _s3_region():
        settings["fs.s3a.endpoint.region"] = region
    # A variable's name: Hadoop looks up what it holds where it needs it.
    if "AZURE_STORAGE_ACCOUNT_KEY" in os.environ:
        settings["fs.azure.account.key"] = "${env.AZURE_STORAGE_ACCOUNT_KEY}"
    elif "AZURE_CLIENT_SECRET" in os.environ:
        login = "https://login.microsoftonline.com/${env.AZURE_TENANT_ID}/oauth2/token"
        settings |= {
            "fs.azure.account.auth.type": "OAuth",
            "fs.azure.account.oauth.provider.type": "org.apache.hadoop.fs.azurebfs.oauth2.ClientCredsTokenProvider",
            "fs.azure.account.oauth2.client.endpoint": login,
            "fs.azure.account.oauth2.client.id": "${env.AZURE_CLIENT_ID}",
            "fs.azure.account.oauth2.client.secret": "${env.AZURE_CLIENT_SECRET}",
        }
    return {f"spark.hadoop.{name}": value for name, value in settings.items()}


def storage_options(location: str) -> dict[str, str] | None:
    """The storage options of deltalake; None for a folder."""
    if not is_uri(location):
        return None
    options = {"connect_timeout": f"{CONNECT_SECONDS}s"}
    if normalized(location).startswith("s3://"):
        options["aws_conditional_put"] = "etag"  # of two commits of one version the store takes one
        if endpoint := _s3_endpoint():
            options["aws_endpoint_url"] = endpoint
            options["aws_allow_http"] = "true" if endpoint.startswith("http://") else "false"
        if region := _s3_region():
            options["aws_region"] = region
        if "AWS_ACCESS_KEY_ID" not in os.environ:
            options["aws_force_credential_load"] = "true"  # look where AWS's own tools do: a profile, a role
    return options


def filesystem(location: str) -> tuple[pafs.FileSystem, str]:
    """The file system it is in, for pyarrow, and its path there."""
    if not is_uri(location):
        return pafs.LocalFileSystem(), str(location)
    scheme, _, rest = normalized(location).partition("://")
    bucket, slash, path = rest.partition("/")
    bucket, _, host = bucket.partition("@")
    variables = tuple(kv for kv in os.environ.items() if kv[0].startswith(("AWS_", "AZURE_", "GOOGLE_")))
    return _filesystem(scheme, host.partition(".")[0], variables), f"{bucket}{slash}{path}"


@lru_cache(maxsize=4)
def _filesystem(scheme: str, account: str, variables: tuple[tuple[str, str], ...]) -> pafs.FileSystem:
    """Made once, which takes a while, for as long as the environment's variables stay what they are."""
    if scheme == "abfss":
        return pafs.AzureFileSystem(account, account_key=os.environ.get("AZURE_STORAGE_ACCOUNT_KEY"))
    if scheme == "gs":
        return pafs.GcsFileSystem(retry_time_limit=timedelta(seconds=TRY_SECONDS))
    endpoint = urlsplit(_s3_endpoint() or "https://")
    return pafs.S3FileSystem(
        region=_s3_region(),
        scheme=endpoint.scheme,
        endpoint_override=endpoint.netloc or None,
        connect_timeout=CONNECT_SECONDS,
    )


def require_reachable(location: str, *, by_spark: bool = True) -> None:
    """Raises JobError unless the store answers there, and (`by_spark`) Spark has the connector to it.

    A folder is not looked at.
    """
    if not is_uri(location):
        return
    location = normalized(location)
    scheme = location.partition("://")[0]
    if by_spark and _lacks_connector(scheme):
        raise JobError(
            f"{location}: Spark has no connector for {scheme}://; run `ATELIER_OBJECT_STORE={scheme} make setup`"
        )
    if scheme == "s3" and not _s3_region():
        raise JobError(f"{location}: no region; set AWS_REGION, or AWS_ENDPOINT_URL unless it is AWS")
    try:
        DeltaTable.is_deltatable(location, {**(storage_options(location) or {}), **_ONE_LOOK})
    except Exception as error:  # deltalake's own, and OSError
        message = re.sub(r"\x1b\[\d+m", "", str(error))
        code = re.search(r"(?<=<Code>)\w+|no credentials found", message)
        reason = code[0] if code else message.split("↳")[-1].strip().partition("\n")[0]
        if _NO_BUCKET.search(message):
            at = f" at {_s3_endpoint()}" if scheme == "s3" and _s3_endpoint() else ""
            raise JobError(f"{location}: there is no such bucket{at} ({reason}); make it, or give another") from error
        wrong = "credentials are wrong or missing" if _REFUSED.search(message) else "the store does not answer"
        raise JobError(f"{location}: {wrong} ({reason}); set {_VARIABLES[scheme]}") from error


def _s3_endpoint() -> str | None:
    return os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or None


def _s3_region() -> str | None:
    named = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    return named or ("us-east-1" if _s3_endpoint() else None)  # other stores have one region, by AWS's first one's name


def _lacks_connector(scheme: str) -> bool:
    """Whether Spark is known to be without it: the one that the set-up installed."""
    import pyspark

    home = Path(pyspark.__file__).parent
    is_other = Path(os.environ.get("SPARK_HOME", home)).resolve() != home.resolve()  # its jars may be anywhere
    return not is_other and not any((home / "jars").glob(f"{_CONNECTORS[scheme]}-*.jar"))
