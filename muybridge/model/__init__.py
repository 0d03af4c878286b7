"""What a size is made of: the transformer, its tokens and attention, the codecs and the weights."""

from muybridge.model.tokens import Layout, Packed, Role, Sample, pack
from muybridge.model.transformer import Transformer

__all__ = ["Layout", "Packed", "Role", "Sample", "Transformer", "pack"]
