"""Pure decisions of the region agent; start reading at session_pool.py."""
