"""What people who do this job have reported, re-created by small inputs: ``scripts/bench reports``.

Each case names where it was reported, says what should happen, and looks whether it did, on a real
truck and cloud. ``lab`` makes the images, ``scene`` sends them and sees what became of them.
"""
