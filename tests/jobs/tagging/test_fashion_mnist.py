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
#: What the classes 0 to 9 are.
GROUPS = ("top", "trousers", "top", "dress", "coat", "shoe", "top", "shoe", "bag", "shoe")


@pytest.mark.skipif(not DATA.is_dir(), reason="Fashion-MNIST is not there")
def test_it_beats_a_linear_probe_and_is_calibrated(tmp_path: Path) -> None:
    pixels = read_idx(DATA / "train-images-idx3-ubyte.gz")[:5_000].reshape(5_000, -1).astype(np.float32)
    codes = read_idx(DATA / "train-labels-idx1-ubyte.gz")[:5_000]
    vectors = reduction.fit(pixels[:4_000], 64).apply(pixels, 64)
    names = {"class": [str(code) for code in codes], "group": [GROUPS[code] for code in codes]}
    examples = fit.Examples(vectors, labels_of({name: pa.chunked_array([found]) for name, found in names.items()}))
    rows = np.arange(5_000)
    fitted = fit.fit(examples, rows[:3_000], rows[3_000:4_000], "pca", tmp_path / "fit", seed=1)
    value = {(f.label, f.metric): f.value for f in tag_figures("tagger", "random", fitted, examples, rows[4_000:])}
    scaled = vectors / vectors[:3_000].std(0)
    for name, found in names.items():
        probe = LogisticRegression(max_iter=300).fit(scaled[:3_000], found[:3_000])
        assert value[name, "accuracy"] >= probe.score(scaled[4_000:], found[4_000:])
        assert value[name, "calibration_error"] < 0.05
        assert value[name, "accuracy_answered"] >= value[name, "accuracy"]
