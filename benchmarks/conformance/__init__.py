"""Holds a real server against clients and judges that others wrote."""
