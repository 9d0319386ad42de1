"""Rules that act on sleep: what is done when. See RULES.md."""
