"""One small catalogue with embedded pictures for all tests of this folder."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from jobs.embeddings import catalogue
from tests.jobs.embeddings import drawn

#: Articles; MISSING has no picture, and SAME shows what article 0 shows.
N, MISSING, SAME = 16, 3, 6


@pytest.fixture(scope="session")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a catalogue whose own encoder has been trained a little. Who changes it restores it."""
    data = tmp_path_factory.mktemp("embedded")
    drawn.publish_articles(data, range(N))
    for i in range(N):
        drawn.draw(data, i)
    drawn.image_path(data, MISSING).unlink()
    shutil.copy(drawn.image_path(data, 0), drawn.image_path(data, SAME))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(catalogue, "MIN_STEPS", 8)
        drawn.run(data)
    return data
