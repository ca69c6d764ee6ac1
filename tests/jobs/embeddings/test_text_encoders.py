"""MiniLM with its real weights, TF-IDF on a few texts, and the hub's encoders as small networks in a folder."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file, save_file

from jobs.embeddings import text_encoders, text_fitting, tfidf
from jobs.embeddings.text_encoders import MINILM, TextEncoder
from jobs.embeddings.text_versions import KINDS
from jobs.platform.errors import JobError


@pytest.fixture(scope="module")
def minilm() -> TextEncoder:
    return text_encoders.minilm(None)


def test_minilm_knows_what_belongs_together(minilm: TextEncoder) -> None:
    jacket, jeans, shoes = minilm.encode(
        ["Women blue denim jacket", "Ladies' jeans jacket in navy", "Men black leather shoes"]
    )
    assert (jacket @ jeans, jacket @ shoes) == (pytest.approx(0.694, abs=0.002), pytest.approx(0.165, abs=0.002))
    assert (minilm.kind, minilm.dimensions) == (KINDS["minilm"], 384)


def test_a_text_has_one_vector_in_whatever_company(minilm: TextEncoder) -> None:
    texts = ["dress", "a long one, " * 30, "red dress", ""]
    together = minilm.encode(texts)
    np.testing.assert_allclose(together, np.concatenate([minilm.encode([text]) for text in texts]), atol=1e-5)


def test_every_text_has_a_vector_of_length_one(minilm: TextEncoder) -> None:
    texts = ["x", "soft " * 2_000, "ein rotes Kleid", "赤いドレス", "👗", "👗✨", "\x00", " "]
    vectors = minilm.encode(texts)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-5)
    again = minilm.encode(["soft " * 254])  # tokens beyond the limit do not count
    np.testing.assert_allclose(again[0], vectors[1], atol=1e-5)
    german, english, other = minilm.encode(["ein rotes Kleid", "a red dress", "black leather shoes"])
    assert german @ english > german @ other


def test_a_misspelt_word_is_near_the_right_one(minilm: TextEncoder) -> None:
    right, wrong, other = minilm.encode(["red summer dress", "red sumer dress", "black leather shoes"])
    assert right @ wrong > right @ other + 0.1


def test_damaged_or_absent_weights_are_one_line(tmp_path: Path) -> None:
    assert text_encoders.minilm(tmp_path).weights == text_encoders.minilm(None).weights  # other encoders' weights alone
    folder = tmp_path / MINILM
    folder.mkdir()
    with pytest.raises(JobError, match=r"model.onnx: no such file; run scripts/setup.sh jobs"):
        text_encoders.minilm(tmp_path)
    shutil.copy(Path(sys.prefix, "models", MINILM, "tokenizer.json"), folder)
    (folder / "model.onnx").write_bytes(b"cut short")
    with pytest.raises(JobError, match=r"model.onnx: damaged: its SHA-256 is .{8}\.\.\., not ca46f1a8"):
        text_encoders.minilm(tmp_path)


# ---- TF-IDF

TEXTS = ["red summer dress", "red winter coat", "blue summer shirt", "black leather shoes", "black leather belt"]


def test_tfidf_finds_words_and_misspelt_ones() -> None:
    fitted = tfidf.fit(TEXTS, seed=1).encoder()
    vectors = fitted.encode(TEXTS)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-5)
    for query in ("red summer dress", "sumer dresses"):
        assert (vectors @ fitted.encode([query])[0]).argmax() == 0
    assert (vectors @ fitted.encode(["leathr shoe"])[0]).argmax() == 3
    assert not fitted.encode(["👗"]).any()  # like nothing


def test_a_fitted_tfidf_comes_back_as_it_was(tmp_path: Path) -> None:
    fitted = tfidf.fit(TEXTS, seed=1)
    fitted.save(tmp_path)
    loaded = tfidf.load(tmp_path)
    assert loaded.encoder().weights == fitted.encoder().weights == tfidf.fit(TEXTS, seed=1).encoder().weights
    np.testing.assert_array_equal(loaded.embed(TEXTS), fitted.embed(TEXTS))
    assert tfidf.fit([*TEXTS, "green"], seed=1).encoder().weights != fitted.encoder().weights


def test_texts_without_words_are_one_line() -> None:
    with pytest.raises(JobError, match="text encoder tfidf: 1 texts of articles: empty vocabulary"):
        tfidf.fit(["👗"], seed=1)


# ---- the hub's


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a RoBERTa and an ALIGN of a few random weights, as the hub's files are."""
    import transformers as hf
    from tokenizers import Tokenizer, models, pre_tokenizers

    words = {word: n for n, word in enumerate(["<s>", "<pad>", "</s>", "<unk>", "red", "dress", "coat"])}
    plain = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    plain.pre_tokenizer = pre_tokenizers.Whitespace()
    named = {"bos_token": "<s>", "pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}
    tokenizer = hf.PreTrainedTokenizerFast(tokenizer_object=plain, **named)
    small = {"vocab_size": 7, "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
    small |= {"intermediate_size": 8, "max_position_embeddings": 20}
    eyes = {"width_coefficient": 0.1, "depth_coefficient": 0.1, "hidden_dim": 8, "num_block_repeats": [1] * 7}
    networks = {
        "all-distilroberta-v1": hf.RobertaModel(hf.RobertaConfig(**small, pad_token_id=1, type_vocab_size=1)),
        "align-base": hf.AlignModel(hf.AlignConfig(text_config=small, vision_config=eyes, projection_dim=8)),
    }
    folder = tmp_path_factory.mktemp("weights")
    for name, network in networks.items():
        network.save_pretrained(folder / name)
        tokenizer.save_pretrained(folder / name)
    return folder


@pytest.mark.parametrize("name", ["roberta", "align"])
def test_encoders_of_the_hub_load_from_a_folder(name: str, weights: Path) -> None:
    encoder = text_fitting.open_encoder(name, weights)
    texts = ["red dress", "coat", "red " * 10_000, "👗"]
    vectors = encoder.encode(texts)
    assert vectors.shape == (4, 8) == (4, encoder.dimensions) and encoder.kind == KINDS[name]
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(vectors, np.concatenate([encoder.encode([text]) for text in texts]), atol=1e-5)
    assert encoder.weights == text_fitting.open_encoder(name, weights).weights


def test_a_tensor_that_is_missing_is_not_drawn_at_random(weights: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(weights / "all-distilroberta-v1", tmp_path / "all-distilroberta-v1")
    tensors = load_file(folder / "model.safetensors")
    del tensors["embeddings.word_embeddings.weight"]
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(JobError, match=r"cannot be loaded \(1 tensors are missing, such as embeddings.word_emb"):
        text_fitting.open_encoder("roberta", tmp_path)


@pytest.mark.parametrize("name", ["roberta", "align", "fashion_clip"])
def test_an_encoder_that_is_not_there_is_one_line(name: str, tmp_path: Path) -> None:
    with pytest.raises(JobError, match=r"no such folder; put the files of .+ there, or use --text-encoder minilm"):
        text_fitting.open_encoder(name, tmp_path)
    for folder in ("all-distilroberta-v1", "align-base", "marqo-fashionCLIP"):
        (tmp_path / folder).mkdir()
    with pytest.raises(JobError, match=r"^[^\n]+ cannot be loaded \([^\n]+--weights-dir, or use [^\n]+$"):
        text_fitting.open_encoder(name, tmp_path)
