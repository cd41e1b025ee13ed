"""The typed resources of the group `brownout.dev`, and the reasons and conditions that their status speaks in.

The structs are the source: `crds/` is generated from them (`brownout.api.generate`), the operator decodes what it watches
into them, and `brownout validate` holds manifests against them. Nothing here does any I/O.
"""
