"""What a run leaves on disk: one MCAP log and a handful of tables. Free of ROS."""
