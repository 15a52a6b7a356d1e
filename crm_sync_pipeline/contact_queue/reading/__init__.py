"""What is asked of the queue: reports for people, figures for machines, and what alerts were told."""
