"""Recordings that are tables of text: Muse, Mind Monitor, OpenBCI, BrainFlow."""
