"""What a worker is told of the others."""

import pytest

from edge.siblings import Sibling
from edge.workers import read_siblings


def test_without_a_word_there_are_no_others() -> None:
    assert read_siblings("").each == ()


def test_it_knows_its_number_and_the_ports_of_all() -> None:
    siblings = read_siblings("1/8101:8201,8102:8202/5:6")
    assert siblings.number == 1
    assert siblings.each == (Sibling(8101, 8201), Sibling(8102, 8202))


@pytest.mark.parametrize(
    "text", ["1", "0/1:2", "x/1:2/5:6", "0/1/5:6", "0/1:x/5:6", "0/1:2/5"]
)
def test_nonsense_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"invalid literal|to unpack"):
        read_siblings(text)
