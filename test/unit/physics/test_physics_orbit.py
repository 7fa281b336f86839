import math
from datetime import datetime, timedelta, timezone

import numpy as np
import pytest

from sec_nodes.physics import geodesy, orbit
from sec_nodes.physics.geodesy import Site

EPOCH = datetime(2025, 3, 20, 12, 0, tzinfo=timezone.utc)

# Vallado's verification case 00005 (Vallado et al., AIAA 2006-6753, SGP4-VER.TLE).
VANGUARD = """\
1 00005U 58002B   00179.78495062  .00000023  00000-0  28098-4 0  4753
2 00005  34.2682 348.7242 1859667 331.7664  19.3264 10.82419157413667
"""
# Minutes since epoch and TEME position [km], from the published tcppver.out.
VANGUARD_TEME_KM = {
    0.0: (7022.46529266, -1400.08296755, 0.03995155),
    360.0: (-7154.03120202, -3783.17682504, -3536.19412294),
    1440.0: (-938.55923943, -6268.18748831, -4294.02924751),
}


def shell(planes=6, per_plane=8, phasing=1, altitude_m=550e3):
    return orbit.walker_shell(altitude_m, math.radians(53.0), planes, per_plane, phasing, EPOCH)


def with_checksum(line):
    body = line[:68]
    total = sum(int(c) for c in body if c.isdigit()) + body.count('-')
    return body + str(total % 10)


def test_sidereal_time_by_hand():
    # 2000 January 1, 12:00 UT1 is JD 2451545.0: the polynomial is its constant,
    # 67310.54841 s = 18 h 41 min 50.54841 s, 280.46061838 deg.
    assert math.degrees(orbit.gmst_rad(2451545.0, 0.0)) == pytest.approx(280.46061838, abs=1e-7)
    # One day later it has gained 236.55536790872 s (Seidelmann 1992), 0.98564737 deg.
    assert math.degrees(orbit.gmst_rad(2451546.0, 0.0)) == pytest.approx(281.44626574, abs=1e-7)
    # Splitting the date differently changes nothing.
    assert orbit.gmst_rad(2451544.5, 0.5) == pytest.approx(orbit.gmst_rad(2451545.0, 0.0))


def test_sidereal_time_against_vallado():
    # Vallado, example 3-5: 1992 August 20, 12:14 UT1 is 152.578788 deg.
    whole, fraction = orbit._julian_date(datetime(1992, 8, 20, 12, 14, tzinfo=timezone.utc))
    assert math.degrees(orbit.gmst_rad(whole, fraction)) == pytest.approx(152.578788, abs=1e-6)


def test_teme_to_earth_fixed_against_vallado():
    # AIAA 2006-6753, app. C: 2004 April 6, 07:51:28.386009 UTC, UT1 - UTC = -0.4399619 s.
    utc = datetime(2004, 4, 6, 7, 51, 28, 386009, tzinfo=timezone.utc)
    whole, fraction = orbit._julian_date(utc)
    angle = orbit.gmst_rad(whole, fraction - 0.4399619 / 86_400)
    teme_m = 1e3 * np.array([5094.18016210, 6127.64465950, 6380.34453270])
    fixed_m = 1e3 * np.array([-1033.47503130, 7901.30558560, 6380.34453270])
    # His Julian date in one float is good to 40 us, in which the Earth turns 2 cm there.
    np.testing.assert_allclose(orbit.ecef_from_teme(teme_m, angle), fixed_m, atol=0.03)


@pytest.mark.parametrize('minutes', VANGUARD_TEME_KM)
def test_sgp4_verification_case(minutes):
    constellation = orbit.constellation_from_tles(VANGUARD)
    found = orbit.positions_ecef_m(constellation, 60.0 * minutes)[0]
    # Turn back by the sidereal time at that instant, computed from the date of the element set:
    # day 179.78495062 of 2000 is JD 2451543.5 + 179.78495062.
    angle = orbit.gmst_rad(2451543.5 + 179, 0.78495062 + minutes / 1440)
    back_km = orbit.ecef_from_teme(found, -angle) / 1e3
    # The published table is computed with WGS 72 in improved mode, like here.
    np.testing.assert_allclose(back_km, VANGUARD_TEME_KM[minutes], atol=2e-4)


def test_velocity_is_the_derivative_of_position_in_the_turning_frame():
    constellation = shell()
    position, _ = orbit.states_ecef(constellation, np.array([999.5, 1000.5]))
    _, velocity = orbit.states_ecef(constellation, 1000.0)
    # Central difference over 1 s: error a'''h^2/24 of some mm/s.  SGP4's own velocity leaves out
    # small periodic terms, up to some cm/s.
    np.testing.assert_allclose(position[1] - position[0], velocity, atol=0.1)


def test_shapes_follow_the_time():
    constellation = shell()
    grid = orbit.positions_ecef_m(constellation, np.array([[0.0, 10.0, 20.0], [1.0, 2.0, 3.0]]))
    assert grid.shape == (2, 3, 48, 3)
    alone = orbit.positions_ecef_m(constellation, 10.0)
    assert alone.shape == (48, 3)
    np.testing.assert_array_equal(grid[0, 1], alone)


def test_time_counts_from_the_epoch():
    later = orbit.walker_shell(
        550e3, math.radians(53.0), 2, 2, 0, EPOCH.astimezone(timezone(timedelta(hours=8)))
    )
    same = orbit.walker_shell(550e3, math.radians(53.0), 2, 2, 0, EPOCH)
    np.testing.assert_array_equal(
        orbit.positions_ecef_m(later, 60.0), orbit.positions_ecef_m(same, 60.0)
    )


def test_shell_keeps_its_altitude():
    # J2 makes an orbit that is circular in the mean breathe by about 10 km; the mean stays.
    time = np.linspace(0.0, 86_400.0, 500)
    radius = np.linalg.norm(orbit.positions_ecef_m(shell(1, 4, 0), time), axis=-1)
    assert radius.mean() - 6_378_137.0 == pytest.approx(550e3, abs=1e3)
    assert np.abs(radius - 6_928_137.0).max() < 12e3


def test_walker_geometry():
    constellation = shell(planes=6, per_plane=8, phasing=1)
    assert constellation.plane.tolist() == np.repeat(np.arange(6), 8).tolist()
    assert constellation.slot.tolist() == np.tile(np.arange(8), 6).tolist()
    position, velocity = orbit.states_ecef(constellation, 0.0)
    # Back to inertial velocities, in a frame that differs by a turn about z only.
    velocity = velocity + np.cross([0, 0, orbit._sidereal_rate_rad_s()], position)
    normal = np.cross(position, velocity)
    normal /= np.linalg.norm(normal, axis=-1, keepdims=True)
    # J2 sways the plane by about 0.02 deg within a turn.
    np.testing.assert_allclose(normal[:, 2], math.cos(math.radians(53.0)), atol=5e-4)
    node = np.arctan2(normal[:, 0], -normal[:, 1])
    plane_node = node.reshape(6, 8)
    np.testing.assert_allclose(
        np.angle(np.exp(1j * (plane_node - plane_node[:, :1]))), 0.0, atol=1e-3
    )
    step = np.angle(np.exp(1j * (plane_node[1:, 0] - plane_node[:-1, 0])))
    np.testing.assert_allclose(step, 2 * math.pi / 6, atol=1e-3)
    # Argument of latitude: 45 deg apart in the plane, and 360 * 1 / 48 = 7.5 deg a plane ahead.
    towards_node = np.stack([np.cos(node), np.sin(node), 0 * node], axis=-1)
    ahead = np.cross(normal, towards_node)
    latitude_argument = np.arctan2(
        np.einsum('si,si->s', position, ahead), np.einsum('si,si->s', position, towards_node)
    )
    expected = np.radians(45.0 * constellation.slot + 7.5 * constellation.plane)
    # 0.3 deg: the short-period terms of J2 along the track.
    np.testing.assert_allclose(
        np.angle(np.exp(1j * (latitude_argument - expected))), 0.0, atol=math.radians(0.3)
    )


def test_tle_sets_with_names_comments_and_paths(tmp_path):
    text = '# two sets\n\nVANGUARD 1\n' + VANGUARD + '0 AGAIN\n' + VANGUARD
    constellation = orbit.constellation_from_tles(text)
    assert constellation.names == ('VANGUARD 1', 'AGAIN')
    assert not constellation.is_walker and len(constellation) == 2
    path = tmp_path / 'set.tle'
    path.write_text(text, encoding='utf-8')
    for same in (path, str(path)):
        np.testing.assert_array_equal(
            orbit.positions_ecef_m(orbit.constellation_from_tles(same), 100.0),
            orbit.positions_ecef_m(constellation, 100.0),
        )
    assert orbit.constellation_from_tles(VANGUARD).names == ('00005',)


def test_epoch_of_a_tle_set_may_be_given():
    # Day 180.0 of 2000 is June 28, 00:00; the element set is 0.21504938 days older.
    epoch = datetime(2000, 6, 28, tzinfo=timezone.utc)
    given = orbit.constellation_from_tles(VANGUARD, epoch)
    own = orbit.constellation_from_tles(VANGUARD)
    offset_s = 0.21504938 * 86_400
    np.testing.assert_allclose(
        orbit.positions_ecef_m(given, 0.0), orbit.positions_ecef_m(own, offset_s), atol=0.1
    )


LINE_1, LINE_2 = VANGUARD.splitlines()


@pytest.mark.parametrize(
    ('text', 'named'),
    [
        (f'NAME\n{LINE_1[:-1]}4\n{LINE_2}\n', 'line 2 has the checksum 4, but its digits give 3'),
        (f'{LINE_1}\n{LINE_2[:-3]}\n', 'line 2 has 66 characters'),
        (f'{LINE_1}\n{with_checksum(LINE_2.replace("00005", "00006"))}\n', 'of satellite 00006'),
        (f'\n{LINE_2}\n{LINE_1}\n', 'line 2 is a line 2 without'),
        (f'{LINE_1}\n{LINE_1}\n', 'line 2 follows line 1'),
        (f'NAME\n{LINE_1}\n', 'line 2 is the last line'),
        ('NAME\nOTHER\n', 'no element set'),
    ],
)
def test_broken_tle_sets_name_the_line(text, named):
    with pytest.raises(ValueError, match=named):
        orbit.constellation_from_tles(text)


def test_decayed_orbits_raise_instead_of_returning_nonsense():
    # Verification case 22312 has decayed two days after its epoch or so.
    decaying = (
        '1 22312U 93002D   06094.46235912  .99999999  81888-5  49949-3 0  3953\n'
        '2 22312  62.1486  77.4698 0308723 267.9229  88.7392 15.95744531 98783\n'
    )
    constellation = orbit.constellation_from_tles(decaying)
    assert np.isfinite(orbit.positions_ecef_m(constellation, 3600.0)).all()
    with pytest.raises(ValueError, match=r'satellite 22312 to 864000.0 s'):
        orbit.positions_ecef_m(constellation, 10 * 86_400.0)


@pytest.mark.parametrize(
    ('change', 'named'),
    [
        ({'altitude_m': -1.0}, 'altitude_m'),
        ({'inclination_rad': 53.0}, 'inclination_rad is 53'),
        ({'planes': 0}, 'planes x per_plane'),
        ({'phasing': 6}, 'phasing is 6'),
        ({'epoch_utc': datetime(2025, 1, 1)}, 'epoch_utc'),
    ],
)
def test_impossible_shells_are_named(change, named):
    good = {
        'altitude_m': 550e3,
        'inclination_rad': 0.9,
        'planes': 6,
        'per_plane': 8,
        'phasing': 1,
        'epoch_utc': EPOCH,
    }
    with pytest.raises(ValueError, match=named):
        orbit.walker_shell(**{**good, **change})


def test_sites_by_hand():
    # WGS 84: a = 6378137 m, b = 6356752.314245 m.
    np.testing.assert_allclose(geodesy.site_ecef_m(0.0, 0.0, 100.0), [6378237.0, 0, 0], atol=1e-6)
    np.testing.assert_allclose(
        geodesy.site_ecef_m(math.pi / 2, 0.0, 0.0), [0, 0, 6356752.314245], atol=1e-5
    )
    # N = a / sqrt(1 - e^2/2) at 45 deg with e^2 = 0.00669437999014: 6388838.290 m;
    # x = N cos 45 = 4517590.879, z = N (1 - e^2) sin 45 = 4487348.409.
    np.testing.assert_allclose(
        geodesy.site_ecef_m(math.pi / 4, math.pi / 2, 0.0),
        [0.0, 4517590.879, 4487348.409],
        atol=1e-3,
    )
    many = geodesy.site_ecef_m(np.zeros((2, 3)), np.zeros(3), 0.0)
    assert many.shape == (2, 3, 3)


def test_local_axes_at_the_equator():
    # At (0, 0) up is x, east is y, north is z of ECEF.
    site = Site(0.0, 0.0, 0.0)
    points = site.position_ecef_m + np.array([[1.0, 2.0, 3.0]])
    np.testing.assert_allclose(geodesy.enu_from_ecef(points, site), [[2.0, 3.0, 1.0]])


def test_local_frames_are_rotations_and_go_round():
    site = Site(0.7, -2.1, 1234.0)
    r = site.enu_from_ecef_rotation
    np.testing.assert_allclose(r @ r.T, np.eye(3), atol=1e-15)
    assert np.linalg.det(r) == pytest.approx(1.0)
    points = np.random.default_rng(0).normal(size=(4, 5, 3)) * 1e6
    back = geodesy.enu_from_ecef(geodesy.ecef_from_enu(points, site), site)
    np.testing.assert_allclose(back, points, atol=1e-6)
    # Climbing along up is climbing over the ellipsoid.
    higher = Site(0.7, -2.1, 2234.0)
    np.testing.assert_allclose(
        geodesy.enu_from_ecef(higher.position_ecef_m, site), [0, 0, 1000.0], atol=1e-6
    )


def test_look_angles_by_hand():
    points = np.array(
        [[0.0, 0.0, 5.0], [3.0, 0.0, 0.0], [0.0, -2.0, 0.0], [0.0, 1.0, 1.0], [-1.0, 0.0, -1.0]]
    )
    elevation, azimuth, distance = geodesy.look_angles(points)
    np.testing.assert_allclose(np.degrees(elevation), [90, 0, 0, 45, -45])
    np.testing.assert_allclose(np.degrees(azimuth[1:]), [90, 180, 0, 270])
    np.testing.assert_allclose(distance, [5, 3, 2, math.sqrt(2), math.sqrt(2)])


def test_impossible_sites_are_named():
    with pytest.raises(ValueError, match='latitude_rad is 45'):
        Site(45.0, 0.0, 0.0)
    with pytest.raises(ValueError, match='latitude_rad reaches 2'):
        geodesy.site_ecef_m(np.array([0.0, -2.0]), 0.0, 0.0)
    with pytest.raises(ValueError, match='altitude_m is nan'):
        Site(0.0, 0.0, math.nan)
