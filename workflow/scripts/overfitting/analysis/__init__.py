"""Analysis of all runs: reads their results and predictions, computes confidence intervals over
seeds and images, and tests the claims of the lesson that this project follows.
"""
