"""The service near the carrier; start reading at service.py."""
