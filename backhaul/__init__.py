"""What edges and region agents share; start reading at links.py."""
