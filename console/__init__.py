"""The operator's console: one web page over the admin APIs; start in server.py."""
