"""Says which client it would use."""

import httpx

print(httpx.__version__)
