"""Physical constants shared by the models, each with the value its paper or standard uses."""

SPEED_OF_LIGHT_M_S = 299_792_458.0
"""Speed of light in vacuum [m/s], exact."""

BOLTZMANN_J_K = 1.380_649e-23
"""Boltzmann constant [J/K], exact since 2019."""

NOISE_TEMPERATURE_K = 290.0
"""Reference temperature of the noise figure [K] (IEEE 161; 3GPP TR 38.821, sec. 6.1.3)."""

EARTH_RADIUS_M = 6_371_000.0
"""Mean radius of the spherical Earth [m] used by Yan et al. 2025 and 3GPP TR 38.811."""

EARTH_EQUATORIAL_RADIUS_M = 6_378_137.0
"""Equatorial radius of the WGS 84 ellipsoid [m]."""

EARTH_GRAVITATION_M3_S2 = 3.986_004_418e14
"""Gravitational parameter of the Earth [m^3/s^2] (WGS 84)."""

EARTH_ROTATION_RAD_S = 7.292_115_146_706_98e-5
"""Rotation rate of the Earth [rad/s] that belongs to the IAU 1982 sidereal time."""
