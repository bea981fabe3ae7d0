"""The models that one actor holds: a VQGAN, and the perceptors that judge what it draws."""

from renderers.models.bundle import Models, check_config, load_models
from renderers.models.perceptor.perceptor import Perceptor
from renderers.models.vqgan.vqgan import VQGAN, VQGANConfig, shown

__all__ = ["VQGAN", "Models", "Perceptor", "VQGANConfig", "check_config", "load_models", "shown"]
