from __future__ import annotations

import pickle

from mi_lightning.errors import InputError, MIError, root_error


def test_the_message_names_the_field():
    assert str(InputError("beta >= 1", 0, field="beta")) == "expected beta >= 1, got 0 (beta)"
    assert str(InputError("a list", 0)) == "expected a list, got 0"


def test_an_error_crosses_process_boundaries():
    error = pickle.loads(pickle.dumps(InputError("beta >= 1", 0, field="beta")))
    assert (error.expected, error.got, error.field) == ("beta >= 1", 0, "beta")


def test_the_innermost_of_ours_is_the_root():
    inner, outer = MIError("inner"), MIError("outer")
    outer.__context__ = KeyError("between")
    outer.__context__.__cause__ = inner
    assert root_error(outer) is inner
    assert root_error(OSError("full")) is None


def test_a_chain_that_bites_its_tail_ends():
    # a disk that fills while one error is handled can make each the context of the other
    first, second = OSError("disk full"), MIError("cannot write")
    first.__context__, second.__context__ = second, first
    assert root_error(first) is second
