"""What each verb does, a module each."""
