"""What every stage needs: params and their ranges, reading and writing files, logging, and error
messages for users. Imports nothing from the other packages.
"""
