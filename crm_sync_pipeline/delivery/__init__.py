"""The work of one run: what a claim holds goes to its destination. Everybody enters by `door`."""
