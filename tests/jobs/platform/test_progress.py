"""Progress in a log: lines, and none of a bar's."""

from __future__ import annotations

import logging

import pytest

from jobs.platform import progress
from jobs.platform.progress import track


def test_the_items_come_through_and_the_log_gets_one_line(caplog, capsys):
    caplog.set_level(logging.INFO)
    assert list(track([3, 1, 2], "scoring customers")) == [3, 1, 2]
    assert list(track(iter("ab"), "two", total=2)) == ["a", "b"]
    assert [record.message.partition(", ")[0] for record in caplog.records] == [
        "scoring customers: 3 of 3",
        "two: 2 of 2",
    ]
    assert capsys.readouterr() == ("", "")  # no terminal, no bar


def test_what_has_no_length_needs_a_total():
    with pytest.raises(AssertionError, match="give the total"):
        list(track(iter("ab"), "two"))


def test_progress_in_a_log_has_rate_and_time_left(monkeypatch, caplog):
    clock = iter([0.0, *[100.0] * 20])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    with caplog.at_level("INFO"), progress.ProgressReporter(1_000, "images") as told:
        told.advance(100)
    assert "images: 100 of 1,000, 1.0 a second, 0:15:00 left" in caplog.text
