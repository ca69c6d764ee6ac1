"""System: alternating least squares on a cluster, by Spark MLlib.

The objective of jobs.recommenders.als, but for the regularisation: as in Zhou et al. (Large-Scale Parallel
Collaborative Filtering for the Netflix Prize, AAIM 2008) MLlib multiplies it by the number of pairs of a customer or an
article.
"""

from __future__ import annotations

from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa
from pyspark.ml.recommendation import ALS

from jobs.platform.spark import spark_session
from jobs.recommenders.als import ALPHA, ITERATIONS, FoldedIn
from jobs.recommenders.factors import FACTORS
from jobs.recommenders.recommender import TrainingContext
from jobs.recommenders.weights import bought, weights

#: For each article that a customer bought, and the other way round.
REGULARISATION = 0.5
#: Pairs of a block: vectors travel from each block of customers to each of articles, and back.
BLOCK_PAIRS = 100_000
#: Iterations after which vectors are written out. Else the lineage of all iterations before is part of each task, and
#: serialising it overflows Java's stack.
CHECKPOINT_ITERATIONS = 2


def fit(known: TrainingContext) -> FoldedIn:
    """The same for a seed but, with several blocks, for the last bits: sums are of terms in the order they arrive.

    All machines of the cluster must reach `known.folder`.
    """
    pairs = bought(weights(known.history, known.as_of_date))
    matrix = pairs.matrix.tocoo()
    rows = pa.table({"customer": matrix.row, "article": matrix.col, "units": matrix.data})
    blocks = 1 + len(matrix.data) // BLOCK_PAIRS
    known.folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=known.folder) as folder:
        spark = spark_session("als_spark", {"spark.checkpoint.dir": folder})
        als = ALS(
            rank=FACTORS,
            maxIter=ITERATIONS,
            regParam=REGULARISATION,
            implicitPrefs=True,
            alpha=ALPHA,
            userCol="customer",
            itemCol="article",
            ratingCol="units",
            seed=known.seed,
            numUserBlocks=blocks,
            numItemBlocks=blocks,
            checkpointInterval=CHECKPOINT_ITERATIONS,
        )
        found = als.fit(spark.createDataFrame(rows)).itemFactors.toArrow().sort_by("id")
    vectors = np.stack(found["features"].to_numpy()).astype(np.float32, copy=False)
    articles = known.history.article_ids.take(pa.array(pairs.articles[found["id"].to_numpy()]))
    return FoldedIn(articles, vectors, REGULARISATION, per_article=True)
