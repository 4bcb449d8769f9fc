"""Where no path can be emulated, that is said in one line."""

import os

from lab.path_namespaces import PathUnavailableError, path_problem


def test_a_user_without_rights_is_told_that_it_needs_root() -> None:
    problem = path_problem()
    assert (problem is None) <= (os.geteuid() == 0)
    assert problem is None or len(problem.splitlines()) == 1


def test_the_error_says_what_cannot_be_done_and_why() -> None:
    error = PathUnavailableError("it needs root")
    assert str(error) == "no network path can be emulated: it needs root"
    assert error.code == "path_unavailable"
