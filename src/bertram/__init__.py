"""BERTram: one BERT for several text tasks, and an honest account of what each training technique is worth."""
