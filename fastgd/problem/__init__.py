"""What is minimised: losses, and what is known of each."""
