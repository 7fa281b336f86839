"""Physics as pure functions on numpy arrays: radio, orbits, motion, energy, workload.

Every function takes arrays with any leading batch axes and returns arrays; nothing here keeps
state, draws from a global generator or knows ROS.  Units are SI and named in suffixes, frames are
ENU unless a name says otherwise, angles are radians.
"""
