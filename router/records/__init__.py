"""What is true of a study, an instance and a receipt, and the errors and holds: without any input or output."""
