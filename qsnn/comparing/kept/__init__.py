"""What runs keep beside their summaries, for those who compare them, and what is wrong with it."""
