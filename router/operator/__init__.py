"""What a person sees and decides."""
