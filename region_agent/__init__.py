"""The service near the model: keeps Realtime sessions warm; start at service.py."""
