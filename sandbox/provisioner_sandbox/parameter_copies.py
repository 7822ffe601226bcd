"""Copies of moto's parameters, whose class `copy` cannot create without its region."""

from __future__ import annotations

import copy
from typing import Any

from moto.ssm.models import ParameterDict


def copy_parameters(parameters: ParameterDict, memo: dict[int, Any]) -> ParameterDict:
    copied = ParameterDict.__new__(ParameterDict)
    memo[id(parameters)] = copied
    copied.default_factory = parameters.default_factory
    copied.__dict__.update(copy.deepcopy(parameters.__dict__, memo))
    for name, versions in parameters.items():
        dict.__setitem__(copied, name, copy.deepcopy(versions, memo))
    return copied


def install() -> None:
    ParameterDict.__deepcopy__ = copy_parameters
