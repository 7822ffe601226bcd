"""What AWS does and moto does not: one module or package for each service, loaded on first use."""
