"""Laying an edit on its source, so that what a task did not mean to change is the source's own pixels."""
