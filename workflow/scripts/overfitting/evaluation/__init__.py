"""What one trained network does: inference, metrics, and images unlike those of training. Only
`inference` imports TensorFlow.
"""
