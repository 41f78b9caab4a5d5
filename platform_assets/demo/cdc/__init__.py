"""The CDC monitor on this machine, as its users know it: a service on a port, sample tables, one sample event."""
