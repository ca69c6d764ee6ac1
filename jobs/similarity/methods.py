"""The methods by which similar articles are found: what is compared, how, and how many picks.

To add one: a line here, its name in Settings.method, and a line in dags/catalogue_intelligence.py; tests hold the three
together.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from jobs.platform.settings import Settings

if TYPE_CHECKING:
    from jobs.similarity.search import Metric

#: Picks where no paper says how many: the places of a shelf of recommendations.
PICKS = 12
Side = Literal["image", "text", "both"]


@dataclass(frozen=True)
class Method:
    """One way of finding similar articles.

    Attributes:
        encoder: value of Settings.encoder whose vectors are compared; None: none, or those below the joint heads.
        metric: how. Cosine is of the encoder's features, not of the centred vectors that PCA makes of them.
        picks: similar articles for each article at most.
        within: picks are no farther than this share of the typical distance of two articles; None: however far.
        side: what of an article is compared: its picture, its text, or the sum of both vectors.
        text_encoder: value of Settings.text_encoder, where texts are compared.
        is_joint: vectors are those that the joint heads (jobs.embeddings.joint) make of both encoders'.
        is_approximate: neighbours are looked up in an index, as in the paper, and not among all articles.
        parts: methods whose picks this one fuses by their ranks; it has no vectors of its own.
    """

    encoder: str | None
    metric: Metric
    picks: int = PICKS
    within: float | None = None
    side: Side = "image"
    text_encoder: str | None = None
    is_joint: bool = False
    is_approximate: bool = False
    parts: tuple[str, ...] = ()

    @property
    def takes_image(self) -> bool:
        """Whether a picture can be asked about."""
        return self.is_joint or self.side != "text"

    @property
    def takes_text(self) -> bool:
        """Whether a text can be asked about."""
        return self.is_joint or self.text_encoder is not None

    def limit(self, vectors: np.ndarray) -> float:
        """The greatest distance of a pick among these vectors [n, d], in their unit.

        The typical distance is the root mean square over all pairs: sqrt(2) times that of the distances to the mean.
        """
        if self.within is None:
            return np.inf
        spread = np.sqrt(((vectors - vectors.mean(axis=0, dtype=np.float64)) ** 2).sum(axis=1).mean())
        return float(self.within * np.sqrt(2) * spread)


def _texts(text_encoder: str) -> Method:
    return Method(None, "cosine", side="text", text_encoder=text_encoder)


def _joint(side: Side) -> Method:
    return Method(None, "cosine", side=side, is_joint=True)


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
    "cosine_catalogue_lite0": Method("catalogue_lite0", "cosine"),
    # "Autoencoder and KNN": the most similar by Euclidean distance of the latent features.
    "euclidean_autoencoder": Method("autoencoder", "euclidean"),
    # Eigenfaces (30 components) of the tagging paper take a picture for the same below a tolerance, which is not given.
    "eigenfaces": Method("eigenfaces", "euclidean", within=0.5),
    # What is said of articles. The paper looks TF-IDF vectors up in an approximate index.
    "tfidf": replace(_texts("tfidf"), is_approximate=True),
    "minilm": _texts("minilm"),
    "roberta": _texts("roberta"),
    "fashion_clip_text": _texts("fashion_clip"),
    "fashion_clip_both": Method("fashion_clip", "cosine", side="both", text_encoder="fashion_clip"),
    "align_text": _texts("align"),
    "align_both": Method("align", "cosine", side="both", text_encoder="align"),
    # Pictures and texts in the space that ALIGN's idea makes of two frozen encoders.
    "joint": _joint("both"),
    "joint_image": _joint("image"),
    "joint_text": _joint("text"),
    "fused": Method(None, "cosine", parts=("joint", "minilm", "tfidf")),
}


def method_of(settings: Settings) -> tuple[Method, Settings]:
    """The chosen method, and the settings with its encoders in place of theirs."""
    method = METHODS[settings.method]
    own = {"encoder": method.encoder, "text_encoder": method.text_encoder}
    return method, settings.model_copy(update={name: value for name, value in own.items() if value is not None})


def parts_of(settings: Settings) -> list[tuple[Method, Settings]]:
    """The methods whose picks the chosen one fuses, each with its settings; itself where it fuses none."""
    names = METHODS[settings.method].parts or (settings.method,)
    return [method_of(settings.model_copy(update={"method": name})) for name in names]
