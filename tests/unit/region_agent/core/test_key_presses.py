from region_agent.core.key_presses import MAX_DIGITS, KeyPresses


def test_digits_are_gathered_until_the_caller_pauses() -> None:
    keys = KeyPresses()
    assert keys.next_deadline() is None
    assert keys.press("4", now=0.0) == ""
    assert keys.press("2", now=1.0) == ""
    assert keys.expire(now=2.4) == ""
    assert keys.next_deadline() == 2.5
    assert keys.expire(now=2.5) == "42"
    assert keys.expire(now=9.0) == ""
    assert keys.next_deadline() is None


def test_the_hash_key_ends_it_at_once() -> None:
    keys = KeyPresses()
    keys.press("4", now=0.0)
    assert keys.press("#", now=0.1) == "4#"
    assert keys.next_deadline() is None


def test_a_flood_of_digits_is_cut_and_counted() -> None:
    keys = KeyPresses()
    for number in range(MAX_DIGITS + 10):
        keys.press("7", now=number / 10)
    assert keys.dropped == 10
    assert keys.press("#", now=5.0) == "7" * MAX_DIGITS
    keys.press("1", now=6.0)
    assert keys.expire(now=7.5) == "1"
