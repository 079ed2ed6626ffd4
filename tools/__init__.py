"""The program behind ./dev: installs what the project needs, then builds, tests, measures and packages it.

Uses the standard library alone, because it runs before anything is installed. `__main__` reads the command line.
"""
