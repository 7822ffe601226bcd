"""An AWS on loopback: moto, made to behave like AWS where moto does not.

moto keeps the state and knows most operations. This package stands in front of it: it reads
requests with botocore's service models, refuses what AWS would refuse, gives resources the life
cycles and dependencies they have in AWS, injects faults, and records every call.
"""

__version__ = "1.0.0"
