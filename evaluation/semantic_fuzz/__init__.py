"""Changes of files that mean nothing must not change the mask.

python -m evaluation.semantic_fuzz --case DIR --chains N --seed S
"""
