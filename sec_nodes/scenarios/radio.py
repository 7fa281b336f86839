"""Radio settings of the scenarios whose devices reach both UAVs and satellites."""

from __future__ import annotations

from sec_nodes.config import Settings
from sec_nodes.scenarios.fields import Decibel, Exponent, NotNegative, Positive


class AirSpaceRadio(Settings):
    """Bands and path gains of these links, Yan et al., eqs (6), (7), and 3GPP TR 38.821."""

    uav_bandwidth_hz: Positive
    satellite_bandwidth_hz: Positive
    reference_gain_db: Decibel
    path_loss_exponent: Exponent
    rician_factor: NotNegative
    carrier_hz: Positive
    satellite_antenna_db: Decibel
    device_antenna_db: Decibel
    additional_loss_db: NotNegative
    shadowing: tuple[Positive, Positive, Positive]
