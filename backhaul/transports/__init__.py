"""Carriers of link frames behind one protocol; start reading at base.py."""
