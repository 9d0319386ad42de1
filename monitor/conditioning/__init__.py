"""From samples in order of arrival to judged 30-s epochs on an exact 100 Hz grid, causally."""
