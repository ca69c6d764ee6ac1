"""Mappings of logs that mean nothing are refused in one line, before anything is read; others mean what they say."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobs.ingest.events.mapping import BUILT_IN, Article, Time, load_log_mapping
from jobs.platform.errors import JobError
from tests.jobs.ingest.events.shop_log import LOG, ODD, read, write_log


@pytest.mark.parametrize(
    ("name", "old", "new", "said"),
    [
        ("atelier", '{ column = "article_id" }', '{ column = "url", pattern = "(?<=p)[0-9]+" }', "look-around"),
        ("atelier", '{ column = "article_id" }', '{ column = "url", pattern = "([" }', "unclosed"),
        ("atelier", 'format = "iso"', 'format = "yyyy-MM-dd HH"', "hour and minute"),
        ("otto", 'records = "events"', 'records = "event"', "records: no field event"),
        ("otto", '"events', '"data.events', "records: no field data.events"),
    ],
)
def test_a_mapping_that_means_nothing(tmp_path: Path, name: str, old: str, new: str, said: str) -> None:
    text = (BUILT_IN / f"{name}.toml").read_text()
    assert old in text
    path = tmp_path / "log.toml"
    path.write_text(text.replace(old, new))
    with pytest.raises(JobError, match=f"log.toml: .*{said}") as refused:
        load_log_mapping(str(path))
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("pattern", "text", "article"),
    [
        ("/p/([0-9]+)", "/p/77?", "77"),
        ("/p/(?P<id>[0-9]+)", "/p/77?", "77"),
        ("(?:p|q)[0-9]+", "/p77?", "p77"),
        (r"\([0-9]+\)", "shoe (77)", "(77)"),
        ("[(]([0-9]+)", "shoe (77)", "77"),
        ("/p/([^/?]+)", "https://shop/p/M%C3%BCtze%20%2F%207?x=%41", "Mütze / 7"),
    ],
)
def test_the_first_group_of_a_pattern_is_meant_or_all_of_it(
    tmp_path: Path, pattern: str, text: str, article: str
) -> None:
    write_log(tmp_path, "events.jsonl", [ODD | {"url": text}])
    log = LOG.model_copy(update={"articles": (Article(column="url", pattern=pattern),)})
    assert read(tmp_path, log) == [(1, article, "v")]


def test_fractions_of_a_second_after_whatever_mark(tmp_path: Path) -> None:
    moments = {"yyyyMMddHHmmssSSS": "20200901100000123", "yyyy-MM-dd HH:mm:ss,SSS": "2020-09-01 10:00:00,123"}
    for said, text in moments.items():
        write_log(tmp_path, "events.jsonl", [ODD | {"time": text}])
        assert len(read(tmp_path, LOG.model_copy(update={"time": Time(column="time", format=said)}))) == 1


def test_a_name_that_no_field_has(tmp_path: Path) -> None:
    write_log(tmp_path, "events.jsonl", [ODD])
    with pytest.raises(JobError, match=r"events.jsonl: the mapping names 'page..id', which is no field"):
        read(tmp_path, LOG.model_copy(update={"articles": (Article(column="page..id"),)}))
