"""The AWS Load Balancer Controller: what it creates in AWS for Services and Ingresses.

Names, tags, order of deletion and finalizers are those of its source, release 3:
https://github.com/kubernetes-sigs/aws-load-balancer-controller
"""
