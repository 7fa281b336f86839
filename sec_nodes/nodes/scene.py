"""The scene as markers, so that RViz and Foxglove show it without further code."""

from __future__ import annotations

from typing import Any

import numpy as np
from geometry_msgs.msg import Point
from std_msgs.msg import ColorRGBA
from visualization_msgs.msg import Marker, MarkerArray

from sec_nodes.nodes import names
from sec_nodes.nodes.vector_messages import point
from sec_nodes.slot import LOCAL, FloatArray, ServerKind, SlotState
from sec_offload import msg

SKY_M = 600.0
"""Satellites are drawn in their direction at this distance from the area's centre [m]."""
DEVICE_COLOR = ColorRGBA(r=0.90, g=0.62, b=0.0, a=1.0)
UAV_COLOR = ColorRGBA(r=0.0, g=0.45, b=0.70, a=1.0)
SATELLITE_COLOR = ColorRGBA(r=0.80, g=0.47, b=0.65, a=1.0)
LOST_COLOR = ColorRGBA(r=0.5, g=0.5, b=0.5, a=0.5)


def scene_markers(
    state: SlotState, batch: msg.AssignmentBatch, server_names: list[str], area_m: Any, stamp: Any
) -> MarkerArray:
    """Devices, UAVs, satellites, the area, and a line for each task that is sent away."""
    servers_m = drawn_positions(state, area_m)
    markers = [
        _area(stamp, area_m),
        _spheres(stamp, 'devices', state.devices.position_m, DEVICE_COLOR, 8.0),
        _links(stamp, state, batch, servers_m),
    ]
    for row, name in enumerate(server_names):
        is_uav = state.servers.kind[row] == ServerKind.UAV
        color = UAV_COLOR if is_uav else SATELLITE_COLOR
        color = color if state.servers.alive[row] else LOST_COLOR
        kind = Marker.CUBE if is_uav else Marker.SPHERE
        markers.append(_body(stamp, row, kind, servers_m[row], color))
        markers.append(_label(stamp, row, name, servers_m[row]))
    return MarkerArray(markers=markers)


def drawn_positions(state: SlotState, area_m: Any) -> FloatArray:
    """(S, 3) positions at which servers are drawn [m; map]; satellites are pulled near."""
    centre_m = np.array([area_m[0] / 2, area_m[1] / 2, 0.0])
    offset_m = state.servers.position_m - centre_m
    distance_m = np.maximum(np.linalg.norm(offset_m, axis=1, keepdims=True), 1.0)
    far = (state.servers.kind != ServerKind.UAV)[:, None]
    return np.where(far, centre_m + SKY_M * offset_m / distance_m, state.servers.position_m)


def _marker(stamp: Any, namespace: str, number: int, kind: int) -> Marker:
    marker = Marker(ns=namespace, id=number, type=kind, action=Marker.ADD)
    marker.header.stamp, marker.header.frame_id = stamp, names.MAP_FRAME
    marker.pose.orientation.w = 1.0
    return marker


def _area(stamp: Any, area_m: Any) -> Marker:
    east, north = float(area_m[0]), float(area_m[1])
    marker = _marker(stamp, 'area', 0, Marker.LINE_STRIP)
    marker.scale.x = 2.0
    marker.color = LOST_COLOR
    corners = [(0.0, 0.0), (east, 0.0), (east, north), (0.0, north), (0.0, 0.0)]
    marker.points = [Point(x=x, y=y) for x, y in corners]
    return marker


def _spheres(
    stamp: Any, namespace: str, positions_m: FloatArray, color: ColorRGBA, size_m: float
) -> Marker:
    marker = _marker(stamp, namespace, 0, Marker.SPHERE_LIST)
    marker.scale.x = marker.scale.y = marker.scale.z = size_m
    marker.color = color
    marker.points = [point(position) for position in positions_m]
    return marker


def _body(stamp: Any, number: int, kind: int, position_m: FloatArray, color: ColorRGBA) -> Marker:
    marker = _marker(stamp, 'servers', number, kind)
    marker.pose.position = point(position_m)
    marker.scale.x = marker.scale.y = marker.scale.z = 14.0
    marker.color = color
    return marker


def _label(stamp: Any, number: int, name: str, position_m: FloatArray) -> Marker:
    marker = _marker(stamp, 'names', number, Marker.TEXT_VIEW_FACING)
    marker.pose.position = point(position_m + np.array([0.0, 0.0, 18.0]))
    marker.scale.z = 16.0
    marker.color = ColorRGBA(r=0.8, g=0.8, b=0.8, a=1.0)
    marker.text = name
    return marker


def _links(
    stamp: Any, state: SlotState, batch: msg.AssignmentBatch, servers_m: FloatArray
) -> Marker:
    marker = _marker(stamp, 'links', 0, Marker.LINE_LIST)
    marker.scale.x = 1.5
    row_of = {int(device): row for row, device in enumerate(state.devices.device_id)}
    for order in batch.assignments:
        if order.server == LOCAL or order.device_id not in row_of:
            continue
        is_uav = state.servers.kind[order.server] == ServerKind.UAV
        device_m = state.devices.position_m[row_of[order.device_id]]
        marker.points += [point(device_m), point(servers_m[order.server])]
        marker.colors += [UAV_COLOR if is_uav else SATELLITE_COLOR] * 2
    return marker
