"""Which methods of randomization are raced, and when."""

import pytest

from iwrs.definition.methods import METHOD_KEYS

# Methods that are listed beforehand all take the same way through the gate: `make test` races one
# of them and the one that decides in the gate, `make prove` races all.
ALWAYS = {"permuted-blocks", "minimization"}
METHODS = [
    pytest.param(name, marks=() if name in ALWAYS else pytest.mark.slow) for name in METHOD_KEYS
]
