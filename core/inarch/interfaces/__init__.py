"""What a plugin hands over. Import the names from `inarch` itself; see each module for the contract."""
