"""The audio plugin. It registers nothing yet."""
