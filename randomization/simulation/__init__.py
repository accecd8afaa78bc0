"""Randomization simulated before a trial starts: pure functions. See docs/simulation.md.

Nothing here makes or reads a list that subjects are allocated by.
"""
