"""Pure decisions of the edge; no I/O, no clock; start reading at call_machine.py."""
