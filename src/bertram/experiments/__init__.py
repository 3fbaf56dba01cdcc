"""The study: recipes, its experiments again, and what each technique is worth."""
