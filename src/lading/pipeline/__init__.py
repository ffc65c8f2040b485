"""The compositions: the one place where stages meet.

Each is imported by its own module, so that a command pays for the stages it uses.
"""
