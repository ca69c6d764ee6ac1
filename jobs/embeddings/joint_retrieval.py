"""How well texts find pictures, and pictures texts, among products that the heads never saw."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from lightning_modules.joint_heads import NONE, JointHeads, Pairs

KS = (1, 10)
_BLOCK = 512


def ranks(queries: Tensor, answers: Tensor, same: Tensor) -> Tensor:
    """Rank [n] of each query's own answer among all of them, 1 the best; of equal scores the middle place.

    Answers with the same code as the query's own are not counted against it: they are as right.

    Args:
        queries, answers: unit vectors [n, d]; answer i is query i's.
        same: codes [n].
    """
    found = []
    for rows in torch.arange(len(queries)).split(_BLOCK):
        scores = queries[rows] @ answers.T
        own = scores.gather(1, rows[:, None])
        others = same[rows][:, None] != same
        better, equal = (scores > own) & others, (scores == own) & others
        found.append(1 + better.sum(dim=1) + equal.sum(dim=1) / 2)
    return torch.cat(found)


def measured(place: Tensor) -> Iterator[tuple[str, float]]:
    """recall@k and the mean reciprocal rank of these ranks."""
    for k in KS:
        yield f"recall_at_{k}", float((place <= k).float().mean())
    yield "mrr", float((1 / place).mean())


@torch.inference_mode()
def retrieval(heads: JointHeads, pairs: Pairs) -> dict[str, float]:
    """Figures of these pairs, each among all of them.

    text_to_image, image_to_text: by all that is said of an article; name_to_image: by its name alone.
    name_to_text: the same without pictures and heads, by the text encoder alone.
    """
    images = heads.image_head(pairs.images)
    full, name = pairs.wordings[:, 0], pairs.wordings[:, 1]
    vectors = heads.text_head(pairs.texts[full])
    named = (name != NONE).nonzero().flatten()
    found = {"text_to_image": ranks(vectors, images, full), "image_to_text": ranks(images, vectors, full)}
    if len(named):
        names, same = pairs.texts[name[named]], name[named]
        found["name_to_image"] = ranks(heads.text_head(names), images[named], same)
        alone = torch.nn.functional.normalize(pairs.texts[full[named]], dim=1)
        found["name_to_text"] = ranks(torch.nn.functional.normalize(names, dim=1), alone, same)
    return {f"{way}/{metric}": value for way, place in found.items() for metric, value in measured(place)}
