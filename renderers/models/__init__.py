"""The models that one actor holds: a VQGAN, and the perceptors that judge what it draws."""

from renderers.models.bundle import Models, check_config, load_judges, load_models
from renderers.models.perceptor.perceptor import Perceptor
from renderers.models.vqgan.vqgan import VQGAN, VQGANConfig, decode_tokens

__all__ = ["VQGAN", "Models", "Perceptor", "VQGANConfig", "check_config", "decode_tokens", "load_judges",
           "load_models"]  # fmt: skip
