"""What is done with a study, from its first image to its last receipt."""
