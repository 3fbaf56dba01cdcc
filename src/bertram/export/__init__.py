"""A trained model in the formats of other tools, each with a card that says what it is worth and whose it is."""
