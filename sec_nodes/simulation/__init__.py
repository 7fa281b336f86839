"""Scenarios played without ROS: runs, comparisons with intervals, tables and pictures."""
