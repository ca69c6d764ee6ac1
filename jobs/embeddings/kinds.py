"""What each encoder's vectors are called. Imports nothing: every process that decodes pictures asks it."""

from __future__ import annotations

#: Encoder setting -> what its vectors are made by; change it with the network, so that old and new are never mixed.
KINDS = {
    "efficientnet_lite0": "efficientnet_lite0-imagenet",
    "efficientnet_lite0_colour": "efficientnet_lite0_colour-v2",
    "resnet152": "resnet152-imagenet1k_v2",
    "resnet50": "resnet50-imagenet1k_v2",
    "mobilenet_v2": "mobilenet_v2-imagenet1k_v2",
    "fashion_clip": "marqo-fashionclip",
    "align": "align-base",
    "catalogue": "catalogue-v2",
    "catalogue_lite0": "catalogue_lite0-v1",
    "autoencoder": "autoencoder-v1",
    "eigenfaces": "eigenfaces-v1",
}
