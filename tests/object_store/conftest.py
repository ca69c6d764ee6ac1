"""An S3 for the tests of this folder."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest

from tests.object_store.server import BUCKET, ObjectStore, serving


@pytest.fixture(scope="session")
def object_store() -> Iterator[ObjectStore]:
    """A server that is this session's S3: the AWS_ variables lead there, for what a test starts too."""
    with serving() as store, pytest.MonkeyPatch.context() as patch:
        store.enter(patch)
        yield store


@pytest.fixture
def location(object_store: ObjectStore) -> str:
    """Somewhere in the bucket where nothing is."""
    return f"s3://{BUCKET}/{uuid.uuid4()}"
