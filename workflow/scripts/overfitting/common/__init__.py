"""What every stage needs: the params and their ranges, reading and writing files, progress, errors
for people. Imports nothing of the other packages.
"""
