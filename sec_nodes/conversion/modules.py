"""The parts of a transformers MLLM as torch modules whose inputs and outputs are plain tensors."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from transformers import DynamicCache

from sec_nodes.inference.manifest import ModelError

_MASKED = -3e4
"""Added to attention scores where nothing may be seen; a float16 number too, unlike -1e38."""


def vision_module(model: Any) -> nn.Module:
    """Pictures (rows, 3, H, W) to features (rows, image tokens, hidden).

    The models' own `get_image_features` loops over pictures, which fixes the number of rows.
    """
    inner = model.model
    if hasattr(inner, 'vision_tower') and hasattr(model.config, 'vision_feature_layer'):
        return _TowerAndProjector(model)
    if hasattr(inner, 'vision_model') and hasattr(inner, 'connector'):
        return _VisionAndConnector(inner)
    raise ModelError(
        f'{type(model).__name__} has no vision tower with projector or connector that is known; '
        f'supported kinds: LLaVA, SmolVLM, Idefics 3'
    )


class TokenEmbedding(nn.Module):
    """Token ids (rows, length) to embeddings (rows, length, hidden)."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.embedding = model.get_input_embeddings()

    def forward(self, input_ids: torch.Tensor) -> torch.Tensor:
        """Look up."""
        return self.embedding(input_ids)


class Decoder(nn.Module):
    """Language model and head with flat caches; scores of the last place only."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.language_model = model.get_decoder()
        self.head = model.get_output_embeddings()

    def forward(
        self,
        inputs_embeds: torch.Tensor,
        attention_mask: torch.Tensor,
        position_ids: torch.Tensor,
        past: list[torch.Tensor],
    ) -> tuple[torch.Tensor, ...]:
        """Scores (rows, 1, vocabulary), then keys and values of each layer."""
        cache = DynamicCache(ddp_cache_data=list(zip(past[::2], past[1::2], strict=True)))
        places = torch.arange(attention_mask.shape[1], device=attention_mask.device)
        own = places[past[0].shape[2] :]
        visible = (places[None, :] <= own[:, None])[None, None]
        visible = visible & (attention_mask[:, None, None, :] > 0)
        mask = torch.where(visible, 0.0, _MASKED).to(inputs_embeds.dtype)
        hidden = self.language_model(
            inputs_embeds=inputs_embeds,
            attention_mask=mask,
            position_ids=position_ids,
            past_key_values=cache,
            use_cache=True,
        ).last_hidden_state
        flat = [part for layer in cache.layers for part in (layer.keys, layer.values)]
        return self.head(hidden[:, -1:]), *flat


class _TowerAndProjector(nn.Module):
    """LLaVA's way.

    Features come from the hidden states that the configuration names: index -1 is before the
    tower's last layer norm, unlike its `last_hidden_state`.
    """

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.tower = model.model.vision_tower
        self.projector = model.model.multi_modal_projector
        layers = model.config.vision_feature_layer
        self.layers = [layers] if isinstance(layers, int) else list(layers)
        self.without_class = model.config.vision_feature_select_strategy == 'default'

    def forward(self, pixel_values: torch.Tensor) -> torch.Tensor:
        """Tower, choice of layers, projector."""
        states = self.tower(pixel_values, output_hidden_states=True).hidden_states
        chosen = torch.cat([states[layer] for layer in self.layers], dim=-1)
        return self.projector(chosen[:, 1:] if self.without_class else chosen)


class _VisionAndConnector(nn.Module):
    """SmolVLM's and Idefics 3's way, for pictures of one whole tile.

    Without padding every patch has its own position and sees all others; the models' own way
    there, by a mask, depends on data and does not export.
    """

    def __init__(self, inner: Any) -> None:
        super().__init__()
        self.vision = inner.vision_model
        self.connector = inner.connector

    def forward(self, pixel_values: torch.Tensor) -> torch.Tensor:
        """Vision transformer with its last layer norm, pixel shuffle and projection."""
        embeddings = self.vision.embeddings
        patches = embeddings.patch_embedding(pixel_values).flatten(2).transpose(1, 2)
        seen = self.vision.encoder(
            inputs_embeds=patches + embeddings.position_embedding.weight, attention_mask=None
        ).last_hidden_state
        return self.connector(self.vision.post_layernorm(seen))
