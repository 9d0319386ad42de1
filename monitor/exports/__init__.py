"""Writes a stored night in the formats of other programs.

`export` finds the night's file readable and writes the formats; `formats` is the table of them.
"""
