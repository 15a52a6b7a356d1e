"""The work of one run: what was claimed goes to its destination. Everybody enters by `door`."""
