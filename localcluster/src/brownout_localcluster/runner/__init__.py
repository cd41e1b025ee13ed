"""Plays the kubelet and the Service network: pods as processes, Services as forwarders. Scaffolding, kept small."""
