"""The night: its store, its state, its statistics, its agreement with an expert."""
