"""The methods by which similar articles are found: an image encoder, a metric, and how many picks.

To add one: a line here, its name in Settings.method, and a line in dags/catalogue_intelligence.py; tests hold the three
together.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from jobs.platform.settings import Settings
from jobs.similarity.search import Metric

#: Picks where no paper says how many: the places of a shelf of recommendations.
PICKS = 12


@dataclass(frozen=True)
class Method:
    """One way of finding similar articles.

    Attributes:
        encoder: value of Settings.encoder whose vectors are compared.
        metric: how. Cosine is of the encoder's features, not of the centred vectors that PCA makes of them.
        picks: similar articles for each article at most.
        within: picks are no farther than this share of the typical distance of two articles; None: however far.
    """

    encoder: str
    metric: Metric
    picks: int = PICKS
    within: float | None = None

    def limit(self, vectors: np.ndarray) -> float:
        """The greatest distance of a pick among these vectors [n, d], in their unit.

        The typical distance is the root mean square over all pairs: sqrt(2) times that of the distances to the mean.
        """
        if self.within is None:
            return np.inf
        spread = np.sqrt(((vectors - vectors.mean(axis=0, dtype=np.float64)) ** 2).sum(axis=1).mean())
        return float(self.within * np.sqrt(2) * spread)


METHODS = {
    "cosine_efficientnet_lite0": Method("efficientnet_lite0", "cosine"),
    "cosine_efficientnet_lite0_colour": Method("efficientnet_lite0_colour", "cosine"),
    "cosine_resnet152": Method("resnet152", "cosine"),
    # "Fashion product tagging and similarity": six recommendations by ResNet50 and cosine.
    "cosine_resnet50": Method("resnet50", "cosine", picks=6),
    # The twentytoo paper compares MobileNetV2's 1280 features by cosine.
    "cosine_mobilenet_v2": Method("mobilenet_v2", "cosine"),
    "cosine_fashion_clip": Method("fashion_clip", "cosine"),
    "cosine_align": Method("align", "cosine"),
    "cosine_catalogue": Method("catalogue", "cosine"),
    # "Autoencoder and KNN": the most similar by Euclidean distance of the latent features.
    "euclidean_autoencoder": Method("autoencoder", "euclidean"),
    # Eigenfaces (30 components) of the tagging paper take a picture for the same below a tolerance, which is not given.
    "eigenfaces": Method("eigenfaces", "euclidean", within=0.5),
}


def method_of(settings: Settings) -> tuple[Method, Settings]:
    """The chosen method, and the settings with its encoder in place of theirs."""
    method = METHODS[settings.method]
    return method, settings.model_copy(update={"encoder": method.encoder})
