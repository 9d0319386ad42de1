"""From samples as they arrive to judged 30-s epochs on an exact 100 Hz grid, causally."""
