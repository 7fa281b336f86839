"""Real inference: scenes, models, splitting, packing; no ROS and no other sec_nodes package."""
