"""What makes of the objects that people write those that they mean."""
