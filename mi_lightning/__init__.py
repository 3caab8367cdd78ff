"""Measures how much of a person a trained classifier gives away."""

from __future__ import annotations

import os

__version__ = "0.1.0"

# Threads that spin while they wait for each other bring a busy machine to a halt: with other programs on the cores, a
# training took 40 times as long as with threads that sleep. Read by OpenMP when torch is first imported; what is set
# by the user stays.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
