"""What can be typed: each command with its arguments, options and help.

What a command does is imported when it runs, so that ``--help`` need not wait for it.
"""
