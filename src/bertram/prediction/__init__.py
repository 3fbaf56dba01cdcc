"""A trained model for those who predict: texts in, answers out."""
