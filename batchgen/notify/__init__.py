"""Somebody is told how a run ends: the forms that services want, and the sending.

It refuses to choose words, to read the environment, and to let anything that goes wrong here reach the run.
"""
