"""What `brownout diagnose` gathers, and what it makes of it.

    API server, processes, Prometheus -> parts -> Found -> redaction -> bundle
                                                  Found -> rules -> summary

A part that fails costs what it would have brought, and a line in errors.txt. Nothing is written to the cluster, and Secrets
are not read.
"""
