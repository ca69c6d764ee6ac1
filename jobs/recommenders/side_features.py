"""Side features of the articles as of a date: colours, outline, keywords and price, as one matrix.

Those of "FOR sequence recommender" (2.1): dominant colours and shape of the picture, keywords of the description,
price. Like the catalogue, pictures and descriptions have no dates, so that articles not sold yet have theirs. But
scales and the keywords' components are those of the articles sold before the date: what comes later changes none of
them. A table that nobody has written yet leaves its columns out.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from scipy import sparse
from sklearn.decomposition import TruncatedSVD
from sklearn.preprocessing import normalize

from expectations.embeddings import ARTICLE_EMBEDDINGS
from expectations.images import IMAGE_FEATURES
from expectations.keywords import ARTICLE_KEYWORDS
from expectations.transactions import TRANSACTIONS
from jobs.embeddings.versions import current_encoder
from jobs.features.image_descriptors import from_hex
from jobs.platform.job import Job
from jobs.retrieval.images import image_embeddings
from jobs.retrieval.purchases import Purchases
from jobs.retrieval.source import Floats

#: Read where they are there; what else is needed is among PURCHASE_TABLES.
OPTIONAL_TABLES = (IMAGE_FEATURES, ARTICLE_KEYWORDS)

#: Dominant colours of a picture that are looked at, the most frequent first.
COLOURS = 3
SHAPE = ("image_aspect", "garment_share", "garment_aspect", "garment_fill", "garment_solidity")
#: Components that stand for the keywords.
KEYWORD_DIM = 32

Columns = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class SideFeatures:
    """What is known of the articles.

    Attributes:
        values: 0 for unknown, (articles, d).
        widths: number of columns of `values` by what they describe, in their order; 0 where the table is not there.
    """

    values: Floats
    widths: dict[str, int]

    @property
    def in_words(self) -> str:
        there = [f"{width} of {name}" for name, width in self.widths.items() if width]
        missing = [name for name, width in self.widths.items() if not width]
        return f"side features: {', '.join(there) or 'none'}" + (f"; no {', no '.join(missing)}" if missing else "")


def no_features(history: Purchases) -> SideFeatures:
    """Of systems that look at none."""
    return SideFeatures(np.zeros((len(history.article_ids), 0), dtype=np.float32), {})


def image_features(job: Job, history: Purchases) -> SideFeatures:
    """Image embeddings of the settings' encoder, as they are: pictures have no dates."""
    encoder = current_encoder(job.settings) if job.exists(ARTICLE_EMBEDDINGS) else None
    images = image_embeddings(job, history.article_ids, encoder)
    return SideFeatures(images, {"image embeddings": images.shape[1]})


def side_features(job: Job, history: Purchases, as_of_date: date) -> SideFeatures:
    """Features of all articles, as of a history that ends before that date."""
    ids, is_sold = history.article_ids, history.articles_sold()
    colours, shape = _pictures(job, ids)
    groups = {"colours": colours, "shape": shape, "keywords": _keywords(job, ids, is_sold)}
    groups["price"] = _price(job, ids, as_of_date)
    values = standardised(np.hstack(list(groups.values())), is_sold).astype(np.float32)
    return SideFeatures(values, {name: group.shape[1] for name, group in groups.items()})


def standardised(values: Columns, is_sold: Mask) -> Columns:
    """Columns (n, d) with mean 0 and standard deviation 1 over some of the rows, 0 where they are NaN.

    The other rows are clipped to the range of those. A column that is constant or empty there is 0.
    """
    known = ~np.isnan(values)
    counts = known & is_sold[:, None]
    count = np.maximum(counts.sum(axis=0), 1)
    centred = np.where(known, values - np.where(counts, values, 0).sum(axis=0) / count, 0)
    deviation = np.sqrt(np.where(counts, centred**2, 0).sum(axis=0) / count)
    scaled = np.divide(centred, deviation, out=np.zeros_like(centred), where=deviation > 1e-9)
    seen = np.where(counts, scaled, 0)
    return np.clip(scaled, seen.min(axis=0, initial=0), seen.max(axis=0, initial=0))


def _aligned(rows: pa.Table, ids: pa.StringArray) -> pa.Table:
    """One row per id, in their order; null for those without."""
    return rows.take(pc.index_in(ids, value_set=rows["article_id"].combine_chunks()))


def _pictures(job: Job, ids: pa.StringArray) -> tuple[Columns, Columns]:
    """L*, a*, b* and share of the first COLOURS dominant colours, (n, 4 COLOURS); and the outline's figures."""
    if not job.exists(IMAGE_FEATURES):
        return np.zeros((len(ids), 0)), np.zeros((len(ids), 0))
    rows = _aligned(job.read_arrow(IMAGE_FEATURES, ["article_id", "colours", *SHAPE, "hu_moments"]), ids)
    found = rows["colours"].combine_chunks()
    row = pc.list_parent_indices(found).to_numpy()
    place = np.arange(len(row)) - np.searchsorted(row, row)
    kept = place < COLOURS
    flat = found.flatten().filter(pa.array(kept))
    colours = np.full((len(ids), COLOURS, 4), np.nan)
    if len(flat):
        colours[row[kept], place[kept], :3] = from_hex(flat.field("hex").to_pylist())
        colours[row[kept], place[kept], 3] = flat.field("share").to_numpy()
    moments = rows["hu_moments"].combine_chunks()
    hu = np.full((len(ids), 7), np.nan)
    hu[moments.is_valid().to_numpy(zero_copy_only=False)] = moments.flatten().to_numpy().reshape(-1, 7)
    outline = np.column_stack([rows[name].to_numpy().astype(float) for name in SHAPE])
    return colours.reshape(len(ids), -1), np.hstack([outline, hu])


def _keywords(job: Job, ids: pa.StringArray, is_sold: Mask) -> Columns:
    """The leading components of TF-IDF over each article's keywords, (n, at most KEYWORD_DIM); NaN without any."""
    if not job.exists(ARTICLE_KEYWORDS):
        return np.zeros((len(ids), 0))
    method = {"method": [job.settings.keyword_method]}
    rows = job.read_arrow(ARTICLE_KEYWORDS, ["article_id", "keyword"], where=method)
    article = pc.index_in(rows["article_id"], value_set=ids)
    rows, article = rows.filter(pc.is_valid(article)), article.drop_null().to_numpy()
    words = rows["keyword"].filter(pa.array(is_sold[article])).unique().sort()
    word = pc.index_in(rows["keyword"], value_set=words)
    article, word = article[word.is_valid().to_numpy()], word.drop_null().to_numpy()
    has = sparse.csr_matrix((np.ones(len(article)), (article, word)), shape=(len(ids), len(words)))
    dimensions = min(KEYWORD_DIM, int(is_sold.sum()), len(words))
    if not dimensions:
        return np.zeros((len(ids), 0))
    rarity = np.log(is_sold.sum() / np.bincount(word[is_sold[article]], minlength=len(words))) + 1
    weights = normalize(has @ sparse.diags_array(rarity))
    components = TruncatedSVD(dimensions, random_state=0).fit(weights[is_sold]).transform(weights)
    components[np.diff(has.indptr) == 0] = np.nan
    return components


def _price(job: Job, ids: pa.StringArray, as_of_date: date) -> Columns:
    """Log of the mean price that was paid before that date, (n, 1)."""
    rows = job.read_arrow(TRANSACTIONS, ["article_id", "price"], before={"t_dat": as_of_date})
    prices = _aligned(rows.group_by("article_id").aggregate([("price", "mean")]), ids)
    with np.errstate(divide="ignore"):
        logs = np.log(prices["price_mean"].to_numpy())
    return np.where(np.isfinite(logs), logs, np.nan)[:, None]
