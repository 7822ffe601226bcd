"""Between bytes and parameters: identify, parse, validate, render. Knows protocols, no service."""
