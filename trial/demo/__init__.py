"""The demonstration: the whole system, brought up and walked through with one command."""
