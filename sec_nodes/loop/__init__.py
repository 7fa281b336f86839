"""The slot loop without ROS: bookkeeping, screening, queues, and how each tier's world moves."""
