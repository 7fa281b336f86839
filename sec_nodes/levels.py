"""What the models that a scenario names are measured to do, put into its settings.

Scenarios and inference stand beside each other, so neither reads the other's files; this stands
outside both, and the registry of scenarios names it as the last step of reading settings.
"""

from __future__ import annotations

from sec_nodes.config import ConfigError
from sec_nodes.inference.manifest import Manifest, ModelError, load_manifest
from sec_nodes.scenarios.mllm.settings import MllmSettings, Servers

SCALE_OF_KIND = {'classifier': 'scene', 'mllm': 'sea'}
"""Held-out questions that the accuracies of the manifest are a share of, by kind of model."""


def with_levels(settings: MllmSettings) -> MllmSettings:
    """The settings with the accuracy of every model that they name.

    Raises:
        ConfigError: an unknown model, or accuracies on another scale than the requirements.
    """
    if settings.uavs.models is None:
        return settings
    try:
        manifest = load_manifest()
        tiers = {
            name: _measured(getattr(settings, name), settings.tasks.accuracy_scale, manifest)
            for name in ('uavs', 'satellites')
        }
    except ModelError as error:
        raise ConfigError(f'uavs.models or satellites.models: {error}') from None
    return settings.model_copy(update=tiers)


def _measured(servers: Servers, scale: str, manifest: Manifest) -> Servers:
    entries = [manifest.entry(model) for model in servers.models or ()]
    for entry in entries:
        if SCALE_OF_KIND[entry.kind] != scale:
            raise ConfigError(
                f'the accuracy of model {entry.id!r} is on scale {SCALE_OF_KIND[entry.kind]!r}, '
                f'but tasks.accuracy_scale = {scale!r}; scales cannot be mixed'
            )
    return servers.model_copy(
        update={'accuracy': tuple(entry.accuracy.value for entry in entries)}
    )
