"""De-identification: the profile, the plan that follows it and the gate that checks it."""
