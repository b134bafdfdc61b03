"""The text plugin. It registers nothing yet."""
