"""Figures from the tidy table, as plotly figures: pure functions for the report, the dashboards and notebooks."""
