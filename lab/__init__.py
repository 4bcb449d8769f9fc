"""Stand-ins for the outside world and the local fabric; start reading at fabric.py."""
