"""Do similar articles share their labels in the catalogue: product type, colour, audience, department, product?"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from jobs.evaluation.protocol import Figure

#: Metric -> the column of silver/articles whose values are compared.
LABELS = {
    "same_product_type": "product_type_name",
    "same_colour_group": "colour_group_name",
    "same_index_group": "index_group_name",
    "same_department": "department_name",
    "same_product": "product_code",
}
#: Of the first HUB_K picks of all articles: the share of articles that are among any, and the share of the articles
#: whose picks have the most frequent one among them.
COVERAGE, HUBNESS, HUB_K = "coverage", "hubness", 10
#: Suffix of a metric at its chance level: all other articles that can be picked are equally likely.
BY_CHANCE = "_by_chance"
WITH_PICKS, ARTICLES_MEASURED = "with_picks", "articles"
#: The slice of these figures.
SLICE = "articles"
KS = (1, 6, 10)
NONE = -1


def neighbour_matrix(picks: pa.Table, article_ids: pa.StringArray) -> np.ndarray:
    """Positions in `article_ids` of each article's picks by rank, [n, deepest rank]; NONE where it has no more.

    Picks of or for articles that are not listed are left out.
    """
    article, similar = (
        pc.fill_null(pc.index_in(picks[column], value_set=article_ids), NONE).to_numpy()
        for column in ("article_id", "similar_article_id")
    )
    place = picks["rank"].to_numpy() - 1
    matrix = np.full((len(article_ids), int(place.max(initial=0)) + 1), NONE, dtype=np.int64)
    known = article != NONE
    matrix[article[known], place[known]] = similar[known]
    return matrix


def likeness(method: str, picks: pa.Table, articles: pa.Table, article_ids: pa.StringArray) -> list[Figure]:
    """Precision@k of each label beside its chance level, the share of articles that have picks, coverage and hubness.

    Precision@k of an article is the share of its first k picks that have its label, of those that it has where they are
    fewer; means are over the articles with label and picks. A pick without a label is a miss.

    Args:
        method: name of the method.
        picks: article_id, rank, similar_article_id.
        articles: article_id and the columns of LABELS.
        article_ids: the articles that have what the method compares.
    """
    matrix = neighbour_matrix(picks, article_ids)
    has_picks = (matrix != NONE).any(axis=1)
    figures = [
        Figure(method, SLICE, ARTICLES_MEASURED, 0, float(len(article_ids))),
        Figure(method, SLICE, WITH_PICKS, 0, float(has_picks.mean())),
    ]
    first = matrix[:, :HUB_K]
    picked = np.bincount(first[first != NONE], minlength=1)
    figures.append(Figure(method, SLICE, COVERAGE, HUB_K, float((picked > 0).sum() / max(len(article_ids), 1))))
    figures.append(Figure(method, SLICE, HUBNESS, HUB_K, float(picked.max() / max(has_picks.sum(), 1))))
    rows = articles.take(pc.index_in(article_ids, value_set=articles["article_id"].combine_chunks()))
    for metric, column in LABELS.items():
        values = rows[column].combine_chunks().dictionary_encode()
        label = pc.fill_null(values.indices, NONE).to_numpy(zero_copy_only=False)
        measured = np.flatnonzero(has_picks & (label != NONE))
        if not len(measured):
            continue
        of_label = np.bincount(label[label != NONE])
        chance = (of_label[label[measured]] - 1) / (len(label) - 1)
        figures.append(Figure(method, SLICE, metric + BY_CHANCE, 0, float(chance.mean())))
        near = matrix[measured]
        is_same = (near != NONE) & (label[near] == label[measured, None])
        for k in (k for k in KS if k <= matrix.shape[1]):
            there = (near[:, :k] != NONE).sum(axis=1)
            precision = is_same[:, :k].sum(axis=1) / np.maximum(there, 1)
            figures.append(Figure(method, SLICE, metric, k, float(precision.mean())))
    return figures
