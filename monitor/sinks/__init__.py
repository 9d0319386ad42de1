"""Readers of a night: events to Redis, the dashboard, plain lines, tables. See ADDING.md."""
