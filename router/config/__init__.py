"""The settings file, read and checked as a whole."""
