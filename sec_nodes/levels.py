"""What the models that a scenario names are measured to do, put into its settings.

Scenarios and inference stand beside each other, so neither reads the other's files; this stands
outside both, and the registry of scenarios names it as the last step of reading settings.
"""

from __future__ import annotations

from typing import TypeVar

from sec_nodes.config import ConfigError
from sec_nodes.inference.codec import encoded_size_bit
from sec_nodes.inference.manifest import Manifest, MllmAccuracy, ModelError, load_manifest
from sec_nodes.inference.profiles import (
    Accuracy,
    PlatformProfile,
    Scale,
    common_scale,
    load_profile,
)
from sec_nodes.physics.workload import NETWORKS as BUILT_FROM_DEFINITIONS
from sec_nodes.scenarios import survey_settings
from sec_nodes.scenarios.mllm.settings import MllmSettings, Pace, Servers
from sec_nodes.scenarios.partial.settings import PartialSettings
from sec_nodes.scenarios.robust.settings import NetworkCuts, RobustSettings

SCENE: Scale = 'scene'
"""Held-out pictures that the accuracies of classifiers in the manifest are a share of."""

TierT = TypeVar('TierT', survey_settings.Uavs, survey_settings.Satellites)


def with_levels(settings: MllmSettings) -> MllmSettings:
    """The settings with the accuracy of every model that they name, and the pace of every server.

    Accuracies are those of the manifest, or of the platform's profile for models that are not
    shipped. Paces are filled in for `compute: profile`.

    Raises:
        ConfigError: an unknown model or platform, a model whose accuracy nobody measured or whose
            time the profile does not have, or accuracies on more than one scale.
    """
    if settings.uavs.models is None:
        return settings
    tiers: dict[str, Servers] = {'uavs': settings.uavs, 'satellites': settings.satellites}
    profiles = {
        name: load_profile(servers.platform) if servers.platform is not None else None
        for name, servers in tiers.items()
    }
    manifest = _manifest('uavs.models and satellites.models')
    found: dict[str, Accuracy] = {}
    for name, servers in tiers.items():
        of_each = [_accuracy(m, manifest, profiles[name]) for m in servers.models or ()]
        found |= dict(zip(servers.models or (), of_each, strict=True))
        values = tuple(number.value for number in of_each)
        tiers[name] = servers.model_copy(update={'accuracy': values})
    _require_scale(found, settings.tasks.accuracy_scale)
    if settings.compute == 'profile':
        for name, servers in tiers.items():
            tiers[name] = _paced(servers, profiles[name], settings.assumed_start_s)
    return settings.model_copy(update=tiers)


def with_speeds(settings: survey_settings.SurveySettings) -> survey_settings.SurveySettings:
    """The settings with the measured speed and power of every platform that they name.

    Raises:
        ConfigError: an unknown platform, or one whose profile does not have the tier's model.
    """
    return settings.model_copy(
        update={
            'uavs': _measured_speed(settings.uavs),
            'satellites': _measured_speed(settings.satellites),
        }
    )


def with_networks(settings: PartialSettings) -> PartialSettings:
    """The settings with the sizes of the networks that they name, cut by cut.

    The last cut, which leaves nothing to a UAV, is none here.

    Raises:
        ConfigError: an unknown network, or one whose parts nobody measured.
    """
    if settings.tasks.networks is None:
        return settings
    manifest = _manifest('tasks.networks')
    menus = tuple(_menu(manifest, name, settings.tasks.codec) for name in settings.tasks.networks)
    tasks = settings.tasks.model_copy(update={'menus_bit': menus})
    return settings.model_copy(update={'tasks': tasks})


def with_layers(settings: RobustSettings) -> RobustSettings:
    """The settings with the cuts of the networks that they name, for `users.layers: models`.

    Raises:
        ConfigError: an unknown network.
    """
    users = settings.users
    if users.layers == 'paper':
        return settings
    manifest = _manifest('users.networks')
    cuts = []
    for name in users.networks:
        try:
            entry = manifest.network(name)
        except ModelError as error:
            raise ConfigError(f'users.networks: {error}{_how_to_build(name)}') from None
        bit = [encoded_size_bit(cut.shape, cut.dtype, users.codec) for cut in entry.cuts[:-1]]
        front_flop = tuple(cut.front_flop for cut in entry.cuts)
        # what the last cut leaves is the answer itself, which does not travel
        cuts.append(NetworkCuts(front_flop=front_flop, cut_bit=(*bit, 0.0)))
    users = users.model_copy(update={'cuts': tuple(cuts)})
    return settings.model_copy(update={'users': users})


def _how_to_build(name: str) -> str:
    if name not in BUILT_FROM_DEFINITIONS:
        return ''
    return (
        f'; `sec models build {name} --models-dir DIR` writes it, and SEC_MODELS_DIR=DIR lets '
        'everybody find it'
    )


def _menu(manifest: Manifest, name: str, codec: str) -> tuple[tuple[float, float], ...]:
    """Of each cut, size of the program behind it and of the tensor there [bit]."""
    try:
        cuts = manifest.classifier(name).cuts[:-1]
    except ModelError as error:
        raise ConfigError(f'tasks.networks: {error}') from None
    sizes = []
    for cut in cuts:
        if cut.head_byte is None:
            raise ConfigError(
                f'tasks.networks: the manifest does not know head_byte of model {name!r}; '
                'make its entry anew'
            )
        tensor_bit = encoded_size_bit(cut.shape, cut.dtype, codec)
        sizes.append((8.0 * cut.head_byte, float(tensor_bit)))
    return tuple(sizes)


def _measured_speed(tier: TierT) -> TierT:
    if tier.platform is None:
        return tier
    profile = load_profile(tier.platform)
    speed = {
        'flop_s': profile.split_entry(tier.model).flop_s,
        'compute_power_w': profile.compute_power_w.value,
    }
    return tier.model_copy(update=speed)


def _manifest(keys: str) -> Manifest:
    try:
        return load_manifest()
    except ModelError as error:
        raise ConfigError(f'{keys}: {error}') from None


def _accuracy(model: str, manifest: Manifest, profile: PlatformProfile | None) -> Accuracy:
    """The accuracy of a model: the manifest's, else the profile's."""
    shipped = {entry.id: entry for entry in manifest.models}
    if model in shipped:
        entry, accuracy = shipped[model], None
        if entry.accuracy is not None:
            scale = entry.accuracy.set if isinstance(entry.accuracy, MllmAccuracy) else SCENE
            accuracy = Accuracy(value=entry.accuracy.value, scale=scale, source='measured')
    elif profile is not None and model in profile.generation:
        accuracy = profile.generation[model].accuracy
    else:
        of_profile = f', nor in profile {profile.id!r}: ' if profile is not None else ''
        known = ', '.join(sorted(profile.generation)) if profile is not None else ''
        raise ConfigError(
            f'model {model!r} is not in models/manifest.yaml ({", ".join(sorted(shipped))})'
            f'{of_profile}{known}; name another model or platform'
        )
    if accuracy is None:
        raise ConfigError(f'nobody measured the accuracy of model {model!r}; take another model')
    return accuracy


def _require_scale(found: dict[str, Accuracy], asked: str) -> None:
    scale = common_scale(found)
    if scale != asked:
        raise ConfigError(
            f'the accuracies of {", ".join(found)} are on scale {scale!r}, but '
            f'tasks.accuracy_scale = {asked!r}; draw requirements on the scale of the models'
        )


def _paced(
    servers: Servers, profile: PlatformProfile | None, assumed_start_s: float | None
) -> Servers:
    """The servers with the pace of each; settings see to it that there is a profile."""
    assert profile is not None
    paces = tuple(
        Pace(
            start_s=profile.start_s(model, assumed_start_s),
            word_s=profile.generation_entry(model).token_s.value,
            power_w=profile.power_w(model),
        )
        for model in servers.models or ()
    )
    return servers.model_copy(update={'paces': paces})
