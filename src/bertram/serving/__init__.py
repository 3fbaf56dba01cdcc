"""A trained model over HTTP: a JSON API and a page to type into."""
