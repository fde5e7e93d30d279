"""What the work asks of the outside, a file for each noun.

Each port has a fake in `testing.py`, and one contract suite runs over both sides.
"""
