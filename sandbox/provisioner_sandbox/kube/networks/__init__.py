"""The network of each pod: ports of its own, and the ways in and out."""
