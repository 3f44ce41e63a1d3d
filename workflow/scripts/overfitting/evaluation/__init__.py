"""Evaluation of one trained network: inference, metrics, and robustness to shifted and corrupted
images. Only `inference` imports TensorFlow.
"""
