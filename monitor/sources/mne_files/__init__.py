"""Recordings that MNE-Python reads: BrainVision, EEGLAB, FIF, GDF and others."""
