"""A scenario together with the real models that run in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sec_nodes.inference.codec import encoded_size_bit
from sec_nodes.inference.manifest import Manifest, ModelEntry, load_manifest
from sec_nodes.scenarios.survey import Survey
from sec_nodes.scenarios.survey_settings import SurveySettings
from sec_nodes.slot import ModelTable


@dataclass(frozen=True)
class World:
    """What every node of a run agrees on."""

    scenario: Survey
    manifest: Manifest

    @property
    def settings(self) -> SurveySettings:
        """Parameters of the scenario."""
        return self.scenario.settings


def build_world(settings: SurveySettings) -> World:
    """A scenario with the tables of the models that it names; the models stay on disk.

    Args:
        settings: the scenario.

    Raises:
        ModelError: the manifest is broken or does not know a model.
    """
    names = dict.fromkeys((settings.devices.model, settings.uavs.model, settings.satellites.model))
    manifest = load_manifest()
    entries = [manifest.entry(name) for name in names]
    return World(Survey(settings, tabulate(entries, settings.codec)), manifest)


def tabulate(entries: Sequence[ModelEntry], codec: str) -> ModelTable:
    """Accuracy and cuts of models as one padded table.

    Args:
        entries: the models, in the order of the table's rows.
        codec: how tensors travel; decides the size of each cut.
    """
    shape = (len(entries), max(len(entry.cuts) for entry in entries))
    front_flop, back_flop, cut_bit = np.zeros(shape), np.zeros(shape), np.zeros(shape)
    for row, entry in enumerate(entries):
        for column, cut in enumerate(entry.cuts):
            front_flop[row, column] = cut.front_flop
            back_flop[row, column] = cut.back_flop
            cut_bit[row, column] = encoded_size_bit(cut.shape, cut.dtype, codec)
    return ModelTable(
        model_id=tuple(entry.id for entry in entries),
        accuracy=np.array([entry.accuracy.value for entry in entries]),
        n_cuts=np.array([len(entry.cuts) for entry in entries]),
        front_flop=front_flop,
        back_flop=back_flop,
        cut_bit=cut_bit,
    )
