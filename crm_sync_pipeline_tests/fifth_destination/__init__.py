"""A destination as another package would bring it: docs/adding-a-destination.md shows its code."""
