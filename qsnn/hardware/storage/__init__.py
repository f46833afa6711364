"""How a layer's weights can lie in a memory: bits, and accesses of a step, of the schemes of [ISCAS]."""
