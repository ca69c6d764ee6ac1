"""The pairs of picture and text that the joint heads are trained on, and which of them they never see."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch

from jobs.embeddings.article_text import short_texts
from jobs.embeddings.feature_store import matrix
from jobs.embeddings.text_encoders import TextEncoder
from lightning_modules.joint_heads import NONE, Pairs

#: Of twenty products, those that figures are measured on, and those that training stops by.
PARTS, TEST, VALIDATION = 20, (0, 1), (2,)


@dataclass(frozen=True)
class Split:
    """Rows of the pairs, by product: all colours of one are on the same side."""

    training: torch.Tensor
    validation: torch.Tensor
    test: torch.Tensor

    @classmethod
    def of(cls, products: pa.StringArray) -> Split:
        found = products.dictionary_encode()
        part = np.array([zlib.crc32(name.encode()) % PARTS for name in found.dictionary.to_pylist()], np.int64)
        part = part[found.indices.to_numpy()] if len(part) else part
        held_out = np.isin(part, (*TEST, *VALIDATION))
        rows = (~held_out, np.isin(part, VALIDATION), np.isin(part, TEST))
        return cls(*(torch.from_numpy(np.flatnonzero(some)) for some in rows))


def aligned(articles: pa.Table, images: pa.Table, texts: pa.Table) -> tuple[pa.Table, np.ndarray, np.ndarray]:
    """The articles with picture and text, in order of id, with text_checksum; their features [n, di] and [n, dt].

    Args:
        articles: article_id, product_code and the columns of article_text.
        images: of one encoder: article_id, image_status, image_embedding.
        texts: of one encoder: article_id, text_status, text_checksum, text_embedding.
    """
    images = images.filter(pc.equal(images["image_status"], "ok"))
    texts = texts.filter(pc.equal(texts["text_status"], "ok"))
    articles = articles.sort_by("article_id")
    ids = articles["article_id"].combine_chunks()
    in_both = pc.and_(*(pc.is_in(ids, value_set=rows["article_id"].combine_chunks()) for rows in (images, texts)))
    articles = articles.filter(in_both)
    ids = articles["article_id"].combine_chunks()
    image, text = (pc.index_in(ids, value_set=rows["article_id"].combine_chunks()) for rows in (images, texts))
    return (
        articles.append_column("text_checksum", texts["text_checksum"].take(text)),
        matrix(images["image_embedding"])[image.to_numpy()],
        matrix(texts["text_embedding"])[text.to_numpy()],
    )


def product_of(articles: pa.Table) -> pa.StringArray:
    """Each article's product; its own id where the catalogue names none."""
    return pc.coalesce(articles["product_code"], articles["article_id"]).combine_chunks()


def pairs(articles: pa.Table, images: np.ndarray, texts: np.ndarray, encoder: TextEncoder) -> Pairs:
    """The pairs, in the articles' order; short wordings are embedded here, each once.

    Args:
        articles: what `aligned` returned.
        images, texts: features of each [n, di], [n, dt].
        encoder: the one that `texts` are of.
    """
    shorter = short_texts(articles)
    distinct = pc.unique(pa.concat_arrays(shorter).drop_null())
    code = articles["text_checksum"].combine_chunks().dictionary_encode().indices.to_numpy()
    full = texts[np.unique(code, return_index=True)[1]]  # articles of which the same is said share a wording
    wordings = [code]
    for wording in shorter:
        places = pc.index_in(wording, value_set=distinct)
        wordings.append(pc.fill_null(pc.add(places, len(full)), NONE).to_numpy(zero_copy_only=False))
    features = np.concatenate([full, encoder.encode(distinct.to_pylist())])
    return Pairs(
        torch.from_numpy(np.ascontiguousarray(images, np.float32)),
        torch.from_numpy(np.ascontiguousarray(features, np.float32)),
        torch.from_numpy(np.column_stack(wordings).astype(np.int64)),
        torch.from_numpy(product_of(articles).dictionary_encode().indices.to_numpy().astype(np.int64)),
    )
