"""What all runs say together: results and predictions read from files, intervals over seeds and
images, the claims and their verdicts.
"""
