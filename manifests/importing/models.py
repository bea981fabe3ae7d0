"""Names that other tools have for VQGANs and for their perceptors, and the registry's entries for them."""

from __future__ import annotations

__all__ = ["PERCEPTOR", "VQGANS"]

#: By the file's name without its ending, in small letters.
VQGANS = {
    "vqgan_imagenet_f16_16384": "imagenet-f16-16384",
    "imagenet_16384": "imagenet-f16-16384",
    "imagenet": "imagenet-f16-16384",
    "wikiart_16384": "wikiart-f16-16384",
    "vqgan_wikiart_f16_16384": "wikiart-f16-16384",
    "wikiart": "wikiart-f16-16384",
    "coco": "coco-f16-8192",
    "faceshq": "faceshq-f16-1024",
    "sflckr": "sflckr-f16-1024",
    "sflickr": "sflckr-f16-1024",
    "vqgan_openimages_f16_8192": "openimages-gumbel-f8-8192",
    "openimages": "openimages-gumbel-f8-8192",
    "gumbel_8192": "openimages-gumbel-f8-8192",
}

#: The perceptor that those entries have, as VQGAN-CLIP calls it.
PERCEPTOR = "ViT-B/32"
