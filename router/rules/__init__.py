"""Which rule of the site an image falls under, and what that rule allows."""
