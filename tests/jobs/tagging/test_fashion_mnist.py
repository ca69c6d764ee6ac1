"""The tagger on photographs with known classes, beside a linear probe."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from sklearn.linear_model import LogisticRegression

from benchmarks.fashion_mnist import read_idx
from jobs.embeddings import reduction
from jobs.tagging import fit
from jobs.tagging.figures import tag_figures
from jobs.tagging.labels import labels_of
from tests.conftest import SHARED_DATA

DATA = SHARED_DATA / "fashion_mnist"


@pytest.mark.skipif(not DATA.is_dir(), reason="Fashion-MNIST is not there")
def test_it_beats_a_linear_probe_and_is_calibrated(tmp_path: Path) -> None:
    pixels = read_idx(DATA / "train-images-idx3-ubyte.gz")[:5_000].reshape(5_000, -1).astype(np.float32)
    codes = read_idx(DATA / "train-labels-idx1-ubyte.gz")[:5_000]
    vectors = reduction.fit(pixels[:4_000], 64).apply(pixels, 64)
    examples = fit.Examples(vectors, labels_of({"class": pa.chunked_array([[str(code) for code in codes]])}))
    rows = np.arange(5_000)
    fitted = fit.fit(examples, rows[:3_000], rows[3_000:4_000], "pca", tmp_path / "fit", seed=1)
    value = {f.metric: f.value for f in tag_figures("tagger", "random", fitted, examples, rows[4_000:])}
    scale = vectors[:3_000].std(0)
    probe = LogisticRegression(max_iter=300).fit(vectors[:3_000] / scale, codes[:3_000])
    assert value["accuracy"] > probe.score(vectors[4_000:] / scale, codes[4_000:]) + 0.005
    assert value["calibration_error"] < 0.05 and value["accuracy_answered"] > value["accuracy"]
