"""Labels, product lines, and from logits to tags."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from scipy.special import softmax
from sklearn.linear_model import LogisticRegression

from jobs.platform.errors import JobError
from jobs.tagging import calibration, fit, tagger
from jobs.tagging.figures import class_figures, majority_figures, tag_figures
from jobs.tagging.labels import labels_of, parts_of
from lightning_modules.tagging_heads import NO_LABEL, TaggingHeads


def column(*values: str | None) -> pa.ChunkedArray:
    return pa.chunked_array([pa.array(values, pa.string())])


def test_labels_and_what_is_none() -> None:
    labels = labels_of(
        {
            "usage": column("NA", " Casual", "", None, "Casual", "NA"),  # NA is a value, blank is none
            "season": column(*[None] * 6),
            "brand": column(*["Lumo"] * 6),
            "name": column("a", "b", "c", "d", "e", "e"),
        }
    )
    assert labels.classes == {"usage": ["Casual", "NA"]}
    assert labels.codes[:, 0].tolist() == [1, 0, NO_LABEL, NO_LABEL, 0, 1]
    assert labels.left_out == {
        "season": "no article has a value",
        "brand": "all 6 articles have the same value",
        "name": "5 values of 6 articles are names, no classes",
    }
    with pytest.raises(JobError, match=r"no label to learn from \(season: no article has a value\)"):
        labels_of({"season": column(None, None)})


def test_a_part_is_kept_whatever_is_added() -> None:
    parts = parts_of([str(n) for n in range(2_000)])
    assert np.bincount(parts).min() > 150 and parts_of(["7"])[0] == parts[7]  # others in the catalogue do not matter


def test_class_figures_by_hand() -> None:
    found = class_figures(np.array([0, 0, 0, 1, 2]), np.array([0, 0, 1, 1, 0]))
    assert found["accuracy"] == pytest.approx(3 / 5)
    assert found["balanced_accuracy"] == pytest.approx((2 / 3 + 1 + 0) / 3)
    assert found["macro_f1"] == pytest.approx((2 * 2 / 6 + 2 / 3 + 0) / 3)


def test_weights_and_threshold() -> None:
    rng = np.random.default_rng(1)
    logits, none = rng.normal(size=(1, 20_000, 3)) * 2, np.zeros(3)
    shares = calibration.probabilities(logits, np.array([1, 0]), none)
    codes = np.array([rng.choice(3, p=p) for p in shares])
    assert calibration.weights(logits * 3, codes, none)[0] == pytest.approx(1 / 3, rel=0.05)  # one over a temperature
    assert calibration.weights(logits[:, :10] * 3, codes[:10], none).tolist() == [1, 0]
    both = np.concatenate([rng.normal(size=logits.shape), logits])  # the first knows nothing
    assert calibration.weights(both, codes, none)[:2] == pytest.approx([0, 1], abs=0.05)
    assert calibration.weights(both[:, :10], codes[:10], none).tolist() == [0.5, 0.5, 0]
    confidence, is_right = shares.max(1), shares.argmax(1) == codes
    assert calibration.calibration_error(confidence, is_right) < 0.02
    too_sure = calibration.probabilities(logits, np.array([3, 0]), none).max(1)
    assert calibration.calibration_error(too_sure, is_right) > 0.1
    # Where probabilities are right, a tag is worth giving from one half on; where all are wrong, never.
    assert calibration.threshold(confidence, is_right) == pytest.approx(0.5, abs=0.05)
    assert calibration.threshold(confidence, np.zeros_like(is_right)) == 1.0


def test_weights_are_estimated_from_a_sample_of_many_articles(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(4)
    logits, none = rng.normal(size=(1, 20_000, 3)) * 2, np.zeros(3)
    codes = np.array([rng.choice(3, p=p) for p in calibration.probabilities(logits, np.array([1, 0]), none)])
    monkeypatch.setattr(calibration, "LOGITS", 3 * 4_000)
    assert calibration.weights(logits, codes, none)[0] == pytest.approx(1, abs=0.1)


def test_a_label_that_pictures_say_nothing_of_falls_back_to_what_is_frequent() -> None:
    rng = np.random.default_rng(2)
    frequency = np.array([0.5, 0.3, 0.2])
    codes = rng.choice(3, 4_000, p=frequency)
    logits = np.log(frequency) + rng.normal(size=(1, 4_000, 3)) * 2  # sure, and of nothing
    shares = calibration.probabilities(logits, calibration.weights(logits, codes, np.log(frequency)), np.log(frequency))
    assert (shares.argmax(1) == 0).mean() > 0.99 and shares.mean(0) == pytest.approx(frequency, abs=0.02)
    assert (logits[0].argmax(1) == codes).mean() < 0.45 < (shares.argmax(1) == codes).mean()


def blobs(seed: int = 0) -> fit.Examples:
    """1,600 articles of 8 garments of very different frequency, in 5 colours, a fifth of which the catalogue omits."""
    rng = np.random.default_rng(seed)
    share = np.array([0.5, 0.25, 0.12, 0.06, 0.03, 0.02, 0.015, 0.005])
    kind = rng.choice(8, 1_600, p=share)
    colour = rng.integers(5, size=1_600)
    centres = rng.normal(size=(13, 20)) * np.geomspace(1, 0.1, 20)
    vectors = centres[kind] + centres[8 + colour] + rng.normal(size=(1_600, 20)) * 0.9 * np.geomspace(1, 0.1, 20)
    names = {"kind": [f"kind {k}" for k in kind], "colour": [f"colour {c}" for c in colour]}
    names["colour"] = [None if n % 5 == 0 else c for n, c in enumerate(names["colour"])]  # type: ignore[misc]
    return fit.Examples(vectors.astype(np.float32), labels_of({k: column(*v) for k, v in names.items()}))


def test_a_tagger_is_as_right_as_a_linear_probe_and_knows_how_sure_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    examples = blobs()
    training, validation, test = np.arange(1_000), np.arange(1_000, 1_300), np.arange(1_300, 1_600)
    monkeypatch.setattr(fit, "MIN_STEPS", 300)
    fitted = fit.fit(examples, training, validation, "e-1-20d", tmp_path / "fit", seed=1)
    value = {(f.label, f.metric): f.value for f in tag_figures("tagger", "random", fitted, examples, test)}
    majority = {
        f.label: f.value for f in majority_figures("random", examples, training, test) if f.metric == "accuracy"
    }
    for place, name in enumerate(examples.labels.classes):
        codes = examples.labels.codes[:, place]
        known, asked = training[codes[training] != NO_LABEL], test[codes[test] != NO_LABEL]
        probe = LogisticRegression(max_iter=2_000).fit(examples.vectors[known], codes[known])
        linear = probe.score(examples.vectors[asked], codes[asked])
        assert value[name, "accuracy"] > linear - 0.015 > majority[name]
        assert value[name, "calibration_error"] < 0.08
        assert value[name, "accuracy_answered"] >= value[name, "accuracy"]

    probe = fit.linear_probe(fitted, examples, validation)
    assert [network.hparams["hidden"] for network in probe.networks] == [0] and len(fitted.networks) == 2
    fitted.save(tmp_path)
    again = tagger.load(tmp_path)
    before, after = fitted.likeliest(examples.vectors), again.likeliest(examples.vectors)
    assert all(np.allclose(before[name][n], after[name][n]) for name in before for n in (0, 1))
    assert (again.encoder, again.thresholds, again.weights) == ("e-1-20d", fitted.thresholds, fitted.weights)


def test_weights_of_rare_classes_do_not_make_them_likelier_than_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fit, "EPOCHS", 8)
    monkeypatch.setattr(fit, "MIN_STEPS", 1)
    rng = np.random.default_rng(3)
    # Vectors that say nothing: what is left is how frequent the classes are.
    names = rng.choice(["often", "rare"], 4_000, p=[0.95, 0.05])
    examples = fit.Examples(rng.normal(size=(4_000, 2)).astype(np.float32), labels_of({"kind": column(*names)}))
    rows = np.arange(4_000)
    heads = fit.fit_heads(examples, rows, rows[:500], tmp_path / "fit", 1, balance=0.25)
    shares = softmax(tagger.logits_of(heads, examples.vectors)["kind"], axis=1)
    assert shares[:, 1].mean() == pytest.approx((names == "rare").mean(), abs=0.01)
    assert np.exp(float(heads.log_weight[1] - heads.log_weight[0])) > 1.5  # and the weights are there


def test_a_class_that_only_the_held_out_articles_have(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fit, "MIN_STEPS", 60)
    examples = blobs()
    codes = examples.labels.codes[:, 0]
    training = np.flatnonzero(codes != 7)[:300]
    fitted = fit.fit(examples, training, np.arange(1_300, 1_600), "e", tmp_path / "fit", seed=1)
    found = fitted.likeliest(examples.vectors)["kind"]
    assert np.isfinite(found[1]).all() and not (found[0] == 7).all()


def test_a_killed_fit_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    examples, epochs, ended = blobs(), list[int](), TaggingHeads.on_train_epoch_end
    rows, test = (np.arange(1_000), np.arange(1_000, 1_300)), np.arange(1_300, 1_600)
    monkeypatch.setattr(fit, "EPOCHS", 12)
    monkeypatch.setattr(fit, "MIN_STEPS", 1)
    monkeypatch.setattr(fit, "PATIENCE", 1)

    def killed_in_the_ninth(heads: TaggingHeads) -> None:
        if heads.deep is not None:  # not the linear probe
            epochs.append(heads.current_epoch)
        if len(epochs) == 9:
            raise KeyError("killed")
        ended(heads)

    monkeypatch.setattr(TaggingHeads, "on_train_epoch_end", killed_in_the_ninth)
    with pytest.raises(KeyError, match="killed"):
        fit.fit(examples, *rows, "e", tmp_path / "fit", seed=1, balances=[0.0])
    resumed = fit.fit(examples, *rows, "e", tmp_path / "fit", seed=1, balances=[0.0])
    assert epochs == [*range(9), *range(8, 12)]  # only the epoch that was lost is trained again
    whole = fit.fit(examples, *rows, "e", tmp_path / "whole", seed=1, balances=[0.0])
    right = [
        next(f.value for f in tag_figures("tagger", "random", each, examples, test) if f.metric == "accuracy")
        for each in (resumed, whole)
    ]
    assert right[0] == pytest.approx(right[1], abs=0.03) and right[0] > 0.6

    epochs.clear()
    fit.fit(examples, *rows, "e", tmp_path / "fit", seed=1, balances=[0.0])
    assert not epochs  # nor is what was fitted
