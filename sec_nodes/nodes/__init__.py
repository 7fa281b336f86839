"""Thin ROS 2 nodes around the physics, the scenarios, the controllers and the inference."""
