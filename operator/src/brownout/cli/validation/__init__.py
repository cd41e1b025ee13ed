"""What `brownout validate` knows: manifests read, held against the schemas and rules of `brownout.api`, then against each other.

    manifests -> structural (types, bounds, unknown fields) -> rules (CEL) -> references

The API server checks the first three as well, one object at a time; offline they come with line numbers and nearest names.
"""
