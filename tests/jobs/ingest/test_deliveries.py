import pytest

from jobs.ingest.deliveries import plan
from jobs.ingest.files import SourceFile
from jobs.platform.errors import JobError


def files(**content: str) -> list[SourceFile]:
    return [SourceFile(name, (), checksum, ()) for name, checksum in content.items()]


def decided(delivered: list[SourceFile], taken: dict[str, str], again: set[str] | None = None) -> tuple:
    steps = plan(delivered, taken, again or set())
    return [file.name for file in steps.take], steps.replace, steps.copies


def test_first_delivery_takes_all_once() -> None:
    assert decided(files(b="2", a="1", c="1"), {}) == (["a", "b"], ["a", "b"], {"c": "a"})


def test_same_file_again_or_no_longer_there_changes_nothing() -> None:
    assert decided(files(a="1"), {"a": "1", "old": "9"}) == ([], [], {})


def test_renamed_copy_is_not_taken_in() -> None:
    assert decided(files(z="1"), {"a": "1"}) == ([], [], {"z": "a"})


def test_new_content_under_a_known_name_replaces_it() -> None:
    assert decided(files(a="2", b="3"), {"a": "1", "b": "3"}) == (["a"], ["a"], {})


def test_content_that_moved_aside_is_taken_in_under_its_new_name() -> None:
    assert decided(files(a="2", b="1"), {"a": "1"}) == (["a", "b"], ["a", "b"], {})


def test_a_known_name_that_became_a_copy_is_refused() -> None:
    with pytest.raises(JobError, match="a: now a copy of b, its own rows would be lost"):
        plan(files(a="2", b="2"), {"a": "1", "b": "2"})


def test_taken_again_on_request_even_under_another_name() -> None:
    assert decided(files(a="1", b="2"), {"a": "1", "b": "2"}, {"a"}) == (["a"], ["a"], {})
    assert decided(files(z="1"), {"a": "1"}, {"a"}) == (["z"], ["a", "z"], {})
    assert decided(files(b="2"), {"a": "1", "b": "2"}, {"a"}) == ([], [], {})
