"""Sources of EEG with times: live ones (LSL, BrainFlow) and recordings (EDF, BDF)."""
