"""What the API server refuses in the objects of each kind."""
