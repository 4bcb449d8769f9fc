"""Pure parts both services run; start reading at machine.py and link.py."""
