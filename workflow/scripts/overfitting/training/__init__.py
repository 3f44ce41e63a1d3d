"""Networks and their training: one thread and fixed seeds, so that the weights are the same bytes
every time. The modules import TensorFlow.
"""
