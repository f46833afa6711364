"""Data that need no files."""
