"""The data plane: one flag set for each namespace, rendered purely from the objects and carried by every protocol.

    watch -> believe -> render -> board -> OFREP, flagd sync
                          |
                       snapshot

It only reads. It needs nothing of the control loop, and serves the last known state for as long as the control plane is
away, also through its own restart.
"""
