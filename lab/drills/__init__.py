"""Failure drills: break one thing under live calls, and judge what became of them.

Start reading at `catalogue.py`, the list of drills; `checker.py` says what is wrong.
"""
