"""Studies: what several runs or several backbones say together. Strategies compared, backbones ranked, pictures."""
