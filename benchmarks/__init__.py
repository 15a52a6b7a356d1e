"""What the project's speed is measured with: `python -m benchmarks`."""
