"""Measuring a model: metrics, what a task is measured by, the runner, scenes, reports."""
