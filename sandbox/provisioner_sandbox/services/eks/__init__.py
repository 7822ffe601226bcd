"""EKS, whole: moto's lacks most fields, statuses and checks, so that nothing of it is used.

Wording of errors and rules: https://docs.aws.amazon.com/eks/latest/APIReference/
"""
