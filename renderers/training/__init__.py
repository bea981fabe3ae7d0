"""How models are made: pictures and captions, training of VQGANs and perceptors. Nothing here is needed to render."""
