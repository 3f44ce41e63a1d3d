"""Networks and how they are trained: one thread, fixed seeds, the same bytes every time. Imports
TensorFlow, and so do its users.
"""
