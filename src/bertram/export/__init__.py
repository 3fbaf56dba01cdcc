"""Export of a trained model to the formats of other tools, each with a card of scores, limits and licenses."""
