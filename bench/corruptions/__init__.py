"""Random corruptions by somebody who may do anything: is each found, and by the name of its record?"""
